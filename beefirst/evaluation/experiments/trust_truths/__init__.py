"""The experiments of notebook 07: the eleven guarantees under attack."""
