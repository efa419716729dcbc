"""What this machine gives: folders, ports, processes, logs, and a stop-watch."""
