"""Facts that the golden model and the RTL share, and nothing else: formats, layouts, signals."""
