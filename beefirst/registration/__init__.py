"""The rules: what a registration is, what may follow what, and what they need from outside. Pure Python."""
