"""Test benches in plain Verilog, which need a simulator and nothing else: a template with parameters, and its paces."""

import re
from collections.abc import Mapping
from pathlib import Path

__all__ = ["filled", "run_command"]


def run_command(modules: str, ending: str) -> str:
    """The line that runs, in its folder, the bench of the modules in ``NAME.v`` with their wrapper ``NAME{ending}``."""
    name = Path(modules).stem
    return f"iverilog -g2012 -o {name}_tb.vvp {name}_tb.v {name}{ending} {modules} && vvp -n {name}_tb.vvp"


def filled(template: Path, values: Mapping[str, int | str]) -> str:
    """A bench with its ``localparam``s set, and the module of its paces behind it; LookupError for one it has not."""
    text = template.read_text(encoding="utf-8")
    for name, value in values.items():
        # A file's name may hold a backslash: the value is no pattern.
        text, found = re.subn(rf"(localparam {name} =) .*;", lambda m, v=value: f"{m[1]} {v};", text)
        if found != 1:
            raise LookupError(f"{template.name} sets {name} {found} times")
    return text + Path(__file__).with_name("pace.v").read_text(encoding="utf-8")
