"""What runs the models: the engine that batches, metering, the result cache, seeds, threads."""
