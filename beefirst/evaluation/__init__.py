"""What the notebooks call: running services, scratch databases, tables, charts and verdicts."""
