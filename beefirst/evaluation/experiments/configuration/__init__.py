"""The experiments of notebook 05: settings as they are read, as they take effect, and as they are refused."""
