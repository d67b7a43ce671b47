"""What critics learn from, and how they are measured."""
