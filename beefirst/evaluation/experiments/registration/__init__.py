"""The experiments of notebook 06: how an account comes to be, and how a claim ends that is not proven."""
