"""The sabotage suite as a command: python -m tests.tools.sabotage."""
