"""Proofs about the emitted Verilog against specifications in plain SystemVerilog."""
