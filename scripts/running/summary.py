"""What a matrix product or an attention came to, as JSON and as a table."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from arch.tensor.config import EngineConfig
from golden.tensor.schedule import gemm_cycles, ideal_cycles, readout_cycles

if TYPE_CHECKING:
    from verif.simulation.report import Section
    from verif.tensor.engine import EngineRun

__all__ = ["Summary", "summarize"]


@dataclass(kw_only=True)
class Summary:
    """What a product or an attention came to.

    shape : dict of str to int
    result : float32 values, or codes; without meaning if there were mismatches
    cycles, ideal_cycles : int
        Of all matrix products: taken by the engine, or by the core for all that it does; and with every PE busy in
        every cycle. ``cycles`` is 0 where the RTL went wrong before they could be counted.
    readout_cycles : int or None
        After the engine's last store; None on the core.
    engines : dict of str to dict of str to int
        By queue of the core: cycles in which it was doing what, as docs/core.md says; empty without a core.
    memory_bytes : int or None
        Of the core's memory, program included; None without a core.
    compared_cycles, mismatches : int
        Of the RTL simulation; 0 without one.
    failures : sequence of Section
        What differs, as reports of ``verif.simulation.report`` have it.
    notes : dict of str to float
        Further figures, errors against float64.
    remark : str
        A line below the figures.
    """

    shape: dict[str, int]
    result: np.ndarray | None
    cycles: int
    ideal_cycles: int
    readout_cycles: int | None = None
    engines: dict[str, dict[str, int]] = field(default_factory=dict)
    memory_bytes: int | None = None
    compared_cycles: int = 0
    mismatches: int = 0
    failures: "Sequence[Section]" = ()
    notes: dict[str, float] = field(default_factory=dict)
    remark: str = ""

    def record(self) -> dict:
        """What ``--json`` prints, with backend and config."""
        return {
            "shape": self.shape,
            "cycles": self.cycles,
            "ideal_cycles": self.ideal_cycles,
            "utilization": self.ideal_cycles / self.cycles if self.cycles else 0.0,
            **{
                name: value for name in ("readout_cycles", "memory_bytes") if (value := getattr(self, name)) is not None
            },
            **({"engines": self.engines} if self.engines else {}),
            "compared_cycles": self.compared_cycles,
            "mismatches": self.mismatches,
            # JSON has no NaN; an error against a reference of zeros is one.
            **{name: value if isfinite(value) else None for name, value in self.notes.items()},
        }

    def table(self, record: dict) -> Table:
        """The same for a person."""
        table = Table(show_header=False, box=None, caption=self.remark or None, caption_justify="left")
        for name, value in record.items():
            if name == "engines":
                for engine, doings in value.items():
                    shares = "  ".join(f"{doing} {count / self.cycles:.1%}" for doing, count in doings.items())
                    table.add_row(engine, shares)
                continue
            if name == "shape":
                value = "  ".join(f"{dim}={size}" for dim, size in value.items())
            elif name == "utilization":
                value = f"{value:.1%}"
            elif isinstance(value, float):
                value = f"{value:.6g}"
            elif isinstance(value, int):
                value = f"{value:,}"
            style = "bold red" if name == "mismatches" and self.mismatches else None
            table.add_row(name.replace("_", " "), str(value), style=style)
        return table


def summarize(shapes: Sequence[tuple[int, int, int]], run: "EngineRun | None", config: EngineConfig, **rest) -> Summary:
    """Counts are the RTL's own; without a run cycles come from the schedule's closed form."""
    measured = {}
    if run is not None:
        measured = {
            "compared_cycles": run.compared_cycles,
            "mismatches": run.mismatches,
            "failures": run.sections(),
        }
    return Summary(
        cycles=sum(gemm_cycles(*shape, config) for shape in shapes) if run is None else sum(run.cycles),
        ideal_cycles=sum(ideal_cycles(*shape, config) for shape in shapes),
        readout_cycles=sum(readout_cycles(*shape, config) for shape in shapes),
        **measured,
        **rest,
    )
