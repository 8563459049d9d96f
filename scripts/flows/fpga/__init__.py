"""Synthesis, placement and routing with yosys and nextpnr."""
