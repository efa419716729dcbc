"""Notebook 02: the service's own start runs the migrations, however it is started and whatever happens to it."""
