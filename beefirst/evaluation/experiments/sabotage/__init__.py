"""Notebook 11: defects that a reader picks or writes are put into copies of the project, and the proofs asked."""
