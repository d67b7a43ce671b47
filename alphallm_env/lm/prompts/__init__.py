"""How a state becomes a prompt."""
