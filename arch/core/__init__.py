"""Facts of the core: what it is built for, its instructions, the signals that are compared."""
