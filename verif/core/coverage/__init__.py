"""Coverage of the core: what is to be exercised, how it is counted, and the programs that do it."""
