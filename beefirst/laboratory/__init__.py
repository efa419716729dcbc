"""What tests and notebooks stand on: services started for real, and a look at what they do."""
