"""The operator's commands: the code of the operate function, one module per command or check."""
