"""What compares a field of planners at equal cost: accuracy over cost, ratios of errors, their pictures."""
