"""The rules: what a registration is, what may follow what, and what that needs from outside. Pure Python."""
