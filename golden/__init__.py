"""The executable specification: formats, arithmetic, matrix products, attention, cycles. NumPy and Numba only."""
