"""Quantities: a number with what follows it: what is counted or measured, or words that change its value."""
