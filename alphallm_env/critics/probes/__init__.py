"""Critics that are linear in the hidden states of a language model."""
