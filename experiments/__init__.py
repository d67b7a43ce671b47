"""One file, one experiment; `records` holds what a run leaves behind."""
