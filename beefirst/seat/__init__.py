"""The evaluator's seat: JupyterLab on a copy of the notebooks that is the reader's own."""
