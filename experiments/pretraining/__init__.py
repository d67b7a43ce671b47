"""What the tiny policy is pre-trained on and with: documents, the model, its checkpoints."""
