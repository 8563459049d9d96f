"""The blocks that every unit is made with: their models, benches, proofs and mutants."""
