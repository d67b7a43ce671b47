"""Language models: the protocol, the backends, the prompts, and the tiny policy."""
