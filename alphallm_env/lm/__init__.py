"""Language models: the protocols, backends by name, policies, prompts, and the tiny policy that is shipped."""
