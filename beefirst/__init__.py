"""A user-registration service that proves itself."""
