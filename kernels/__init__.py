"""Programs for the core, made in Python: what is issued when, where it lies, and what waits for what."""
