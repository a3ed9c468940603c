"""The jobs of this installation. Each folder is one job: declaration, code, parameters, queries and tests."""
