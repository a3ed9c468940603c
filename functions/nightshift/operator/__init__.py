"""The operator's commands: the code of the ops function, one module per command or check."""
