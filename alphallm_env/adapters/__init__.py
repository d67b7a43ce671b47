"""Adapters that let other libraries use the environments: stable-baselines3, TRL. Importing this loads neither."""
