"""The experiments: one module a notebook, under the notebook's own name; each experiment returns one Evidence."""
