"""Published process reward models (PRMs) as critics: adapters by name, input formats, and the reader of step scores."""
