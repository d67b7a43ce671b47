"""Adapters that let other libraries use the environments. Importing this package loads none of them.

`sb3` has `SB3VecEnv` for stable-baselines3, `trl_grpo` has `tool_environments` for TRL's `GRPOTrainer`.
"""
