"""What a run exercised: functional bins of the coverage plan, lines and toggles of the emitted Verilog."""
