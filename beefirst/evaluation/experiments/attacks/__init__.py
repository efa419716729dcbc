"""Notebook 08: what an attacker learns, what one can do, and what the logs give away."""
