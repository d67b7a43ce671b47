"""Published process reward models as critics."""
