"""The owner's commands: what the ops function does, one module per question."""
