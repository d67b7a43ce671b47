"""A causal LM in process: prefill, decoding and scoring over shared caches."""
