"""The kernels of the core's cycle model, block by block."""
