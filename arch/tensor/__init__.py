"""Facts about the tensor engine: its configuration, the layouts at its ports, the signals observed in it."""
