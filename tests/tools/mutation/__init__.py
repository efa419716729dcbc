"""Mutation testing: small changes to the service's own code and SQL, each of which a test must notice."""
