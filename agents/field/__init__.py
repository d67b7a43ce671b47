"""Planners that ours are compared with, and what they share."""
