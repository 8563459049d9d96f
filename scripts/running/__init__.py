"""Matrix products and attention, on the golden model or on the simulated RTL."""
