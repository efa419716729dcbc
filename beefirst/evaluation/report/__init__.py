"""Running all notebooks, and the report of what they found."""
