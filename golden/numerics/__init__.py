"""Numbers, apart from any machine: formats, conversions, matrix products, quantisation, softmax, attention."""
