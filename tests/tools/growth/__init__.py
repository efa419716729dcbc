"""How fast the service is on tables of millions of rows, and how large they become: `python -m tests.tools.growth`."""
