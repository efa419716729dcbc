"""Mail: who delivers it, one SMTP connection for each, and what is in flight when the process ends."""
