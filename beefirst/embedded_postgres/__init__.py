"""PostgreSQL without an installation: the server that comes as a Python package."""
