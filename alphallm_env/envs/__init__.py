"""The environments.

`text` has `MathReasoningEnv`, whose actions are text, and `choice` has `OptionChoiceEnv`, whose actions are indices of
options that the policy proposes; `vector` runs many episodes with common batches of model queries. `snapshots` saves an
environment with its wrappers, `wrappers` has rewards, budgets and TensorBoard, `rendering` text and pixels.
"""
