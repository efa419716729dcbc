"""Mail: who delivers it, the few SMTP connections that it shares, and what is in flight when the process ends."""
