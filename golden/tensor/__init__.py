"""The tensor engine: the arithmetic of its PEs, its cycle model and its schedule."""
