"""Running all notebooks, and the report of what they found."""

from beefirst.jupyter.fast_import import skip_iri_grammar

skip_iri_grammar()  # before a module in here imports nbformat
