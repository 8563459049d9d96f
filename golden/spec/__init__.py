"""Facts that the golden model and the RTL share: formats, configurations, encodings. No arithmetic on data."""
