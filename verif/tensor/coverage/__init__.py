"""The coverage plan of the tensor engine, its bins and how hits are counted."""
