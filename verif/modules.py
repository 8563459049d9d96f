"""Emitted modules by what they are, ``pe`` or ``row``, whatever they are made for: so the checks name them."""

import re

from amaranth.lib import wiring

from hw.lib.emission import emit_modules, plain_names

__all__ = ["module_text", "plain_modules"]


def plain_modules(block: wiring.Component, target: str | None = None) -> dict[str, str]:
    """What ``emit_modules`` gives, its names plain: all must be made for one configuration."""
    return {plain_names(name): plain_names(text) for name, text in emit_modules(block, target).items()}


def module_text(text: str, kind: str) -> str:
    """The text of the one module that is of a kind. Raises ValueError if there are more, or none."""
    found = [
        match[0]
        for match in re.finditer(r"^module (\w+)\b.*?^endmodule$", text, re.DOTALL | re.MULTILINE)
        if plain_names(match[1]) == kind
    ]
    if len(found) != 1:
        raise ValueError(f"the Verilog must have one module {kind}, not {len(found)}")
    return found[0]
