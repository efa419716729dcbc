"""The service beside the real programs that its operators run."""
