"""The executable specification of the core: what a program does, and that its instructions are in order."""
