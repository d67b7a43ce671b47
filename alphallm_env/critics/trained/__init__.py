"""Critics that were trained: a trunk with a scalar head, and the notes it judges by."""
