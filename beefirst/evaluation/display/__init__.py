"""What the notebooks and the report show: tables, pictures, progress."""
