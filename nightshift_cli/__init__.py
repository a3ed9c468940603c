"""The command line: a client of the HTTP API, of nothing else."""
