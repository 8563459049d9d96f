"""The systolic array: edges that decode and skew, rows of processing elements, the grid."""
