"""How fast it is: figures beside a reference that is measured in the same run."""
