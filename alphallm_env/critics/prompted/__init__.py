"""Critics that ask a language model for True or False."""
