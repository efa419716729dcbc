"""The guarantees of the specification, each as an experiment on a real service that could show it broken."""
