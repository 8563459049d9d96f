"""What a tensor engine is given to do: random matrix products, random passes, and their beats."""
