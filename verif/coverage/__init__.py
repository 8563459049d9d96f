"""What a run exercised: functional bins of a unit's plan, lines and toggles of its Verilog.

A unit takes part by a ``verif.coverage.hook.CoverageHook``.
"""
