"""What turns trajectories into weights: fine-tuners of a policy, and the training of critics.

`base` has the lessons that a policy learns from, the `FineTuner` protocol, and the fine-tuners by name; `sft` is the
first of them. `graded` has the data that critics learn from; `critics` trains a whole model on it, `probes` fits linear
probes to the hidden states of one that stays as it is. `optimizers`, `lora` and `precision` serve all of them.
"""
