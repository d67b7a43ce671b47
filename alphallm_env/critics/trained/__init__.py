"""Trained critics: the value function, a scalar head on a language model; and the notes that critics may read."""
