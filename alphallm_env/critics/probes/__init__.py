"""Probes: critics that are linear in the hidden states of a frozen language model."""
