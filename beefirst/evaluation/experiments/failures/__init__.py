"""The experiments of notebook 10: parts that die under load, and what is lost with them."""
