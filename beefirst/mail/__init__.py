"""Delivering a code: to the log, for the demo, or over SMTP."""
