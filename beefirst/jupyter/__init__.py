"""JupyterLab for the reader of the notebooks, and the reader's own copies of them."""
