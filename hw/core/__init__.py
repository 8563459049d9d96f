"""RTL of the core: what stands around the tensor engine."""
