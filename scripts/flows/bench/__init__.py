"""How fast the golden model, the simulation and the builds are."""
