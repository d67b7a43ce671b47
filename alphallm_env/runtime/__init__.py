"""The engine that batches model calls, metering, the result cache, seeds, journals, OpenMP, concurrency."""
