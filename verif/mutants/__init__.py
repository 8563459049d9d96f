"""Small faults put into the modules of any unit: benches must see them, or a proof must show that they are none.

A unit takes part by a ``verif.mutants.hook.MutantHook``.
"""
