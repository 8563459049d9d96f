"""Lint waivers of what is emitted."""

__all__ = ["emitted_waivers"]


def emitted_waivers(modules: str, wrapper: str) -> str:
    """The beginning of Verilator's control file for emitted modules in one file and their wrapper in another."""
    return f"""\
// What verilator --lint-only -Wall is not to say about {modules} and {wrapper}.
`verilator_config
// Files are named after the configuration, and {modules} holds all modules.
lint_off -rule DECLFILENAME -file "*{modules}"
lint_off -rule DECLFILENAME -file "*{wrapper}"
// Constants are as narrow as their value, and sums are cut to their register on purpose.
lint_off -rule WIDTHEXPAND -file "*{modules}"
lint_off -rule WIDTHTRUNC -file "*{modules}"
// Registers start at zero, as after a reset.
lint_off -rule PROCASSINIT -file "*{modules}"
"""
