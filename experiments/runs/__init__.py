"""What programs share: run folders, monitor, reports, statistics."""
