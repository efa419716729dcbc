"""Notebook 09: how fast it is against what the hardware allows, and what happens beyond."""
