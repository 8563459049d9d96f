"""Specifications in files of their own: their parameters get values."""

import re

__all__ = ["with_parameters"]


def with_parameters(text: str, **values: int) -> str:
    """SystemVerilog whose parameters have these values instead of their defaults."""
    for name, value in values.items():
        text, found = re.subn(rf"\b(parameter {name} =) \d+", rf"\1 {value}", text)
        if not found:
            raise ValueError(f"{name} must be a parameter of the text")
    return text
