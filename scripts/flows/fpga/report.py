"""What an FPGA build came to: as a record, as tables, as Markdown."""

import importlib.metadata
from collections.abc import Sequence
from dataclasses import asdict
from statistics import median

from rich.table import Table

from scripts.flows.fpga.build import Job, Routed, Synthesis
from scripts.flows.fpga.tools import versions
from scripts.ground.tables import plain_table

__all__ = ["KINDS", "figures", "lut_equivalents", "make_record", "markdown", "tables"]

#: Kinds of cells, in the order of every listing.
KINDS = {
    "lut4": "LUT4",
    "carry": "carry",
    "lut4_equivalents": "LUT4-eq",
    "ff": "flip-flops",
    "dsp": "DSP",
    "block_ram": "block RAM",
    "lut_ram": "LUT RAM",
}


def lut_equivalents(cells: dict[str, float], carry_luts: int) -> float:
    """LUT4s, those that carry cells take the place of included."""
    return cells.get("lut4", 0) + carry_luts * cells.get("carry", 0)


def _complete(cells: dict[str, int], carry_luts: int) -> dict[str, int]:
    """Every kind, those of which there are none included."""
    return {kind: cells.get(kind, 0) for kind in KINDS} | {"lut4_equivalents": lut_equivalents(cells, carry_luts)}


def make_record(job: Job, name: str, synthesis: Synthesis, routed: Sequence[Routed], command: str) -> dict:
    """Everything, as report.json has it. ``routed``: at least one, all of which came to a frequency."""
    family = job.device.family
    ordered = sorted(routed, key=lambda one: one.mhz)
    middle = ordered[(len(ordered) - 1) // 2]
    cells = _complete(synthesis.cells, family.carry_luts)
    blocks = {block: _complete(kinds, family.carry_luts) for block, kinds in synthesis.blocks.items()}
    array = {"core": {}, "engine": blocks.get("array", {})}.get(job.part, cells)
    mhz = median(one.mhz for one in routed)
    return {
        "name": name,
        "part": job.part,
        "device": job.device.name,
        "config": asdict(job.config) | {"formats": list(job.config.formats)},
        **({"core": {k: v for k, v in asdict(job.core).items() if k != "engine"}} if job.core else {}),
        "pes": job.pes,
        "cells": cells,
        "blocks": {block: kinds for block, kinds in blocks.items() if block != "wrapper"},
        "per_pe": {
            kind: round(array[kind] / job.pes, 2)
            for kind in ("lut4", "carry", "lut4_equivalents", "ff", "dsp")
            if kind in array
        },
        "wrapper": _complete(synthesis.wrapper, family.carry_luts),
        "device_cells": {
            kind: dict(zip(("used", "available"), middle.used[resource], strict=True))
            for kind, resource in family.resources.items()
            if resource in middle.used
        },
        "mhz": {"min": ordered[0].mhz, "median": mhz, "max": ordered[-1].mhz},
        "peak_gmacs": job.pes * mhz / 1000,
        "critical_path": middle.path | {"seed": middle.seed},
        "seeds": [
            {"seed": one.seed, "mhz": one.mhz, "stage": one.path["stage"], "seconds": round(one.seconds, 1)}
            for one in routed
        ],
        "target_mhz": job.frequency,
        "versions": {"systolith": importlib.metadata.version("systolith")} | versions(family),
        "command": command,
    }


def _shown(record: dict) -> list[str]:
    """Kinds that there are any of."""
    return [kind for kind in KINDS if record["cells"][kind] or kind in ("lut4", "ff")]


def _cell_rows(record: dict) -> list[tuple[str, ...]]:
    """The design, its blocks, a PE, the wrapper: cells of each kind."""
    kinds = _shown(record)
    parts = {"all": record["cells"]}
    if len(record["blocks"]) > 1:
        parts |= record["blocks"]
    rows = [(name, *(f"{cells[kind]:,}" for kind in kinds)) for name, cells in parts.items()]
    per_pe = record["per_pe"]
    if per_pe:
        rows.append(("array per PE", *(f"{per_pe[kind]:,.1f}" if kind in per_pe else "" for kind in kinds)))
    rows.append(("(wrapper)", *(f"{record['wrapper'][kind]:,}" for kind in kinds)))
    return rows


def _cell_columns(record: dict) -> tuple[str, ...]:
    return ("cells", *(KINDS[kind] for kind in _shown(record)))


def figures(record: dict) -> dict[str, str]:
    """Speed, the critical path and how full the device is, a line each."""
    mhz, path, count = record["mhz"], record["critical_path"], len(record["seeds"])
    full = ", ".join(
        f"{kind.replace('_', ' ')} {pair['used']:,} of {pair['available']:,}"
        for kind, pair in record["device_cells"].items()
        if pair["used"]
    )
    return {
        "clock": f"{mhz['median']:.1f} MHz, "
        + (f"median of {count} seeds, {mhz['min']:.1f}..{mhz['max']:.1f}" if count > 1 else "one seed"),
        "peak": f"{record['peak_gmacs']:.2f} GMAC/s, {record['pes']} PEs",
        "critical path": (
            f"{path['stage']}: {path['logic_ns']:.1f} ns logic, {path['routing_ns']:.1f} ns routing "
            f"(seed {path['seed']})"
        ),
        "of which": "; ".join(
            f"{part['stage'] or 'unnamed'} {part['logic_ns']:.1f} + {part['routing_ns']:.1f} ns"
            for part in path["stages"]
        ),
        "from": path["start"],
        "to": path["end"],
        "device": f"{full}, with the wrapper",
    }


def tables(record: dict) -> list[Table]:
    """For the terminal."""
    cells = plain_table(*_cell_columns(record), text=("cells",))
    for row in _cell_rows(record):
        cells.add_row(*row)
    rest = Table(show_header=False, box=None, padding=(0, 1, 0, 0))
    for name, value in figures(record).items():
        rest.add_row(name, value)
    return [cells, rest]


def markdown(record: dict) -> str:
    """The same as a page."""
    columns = _cell_columns(record)
    lines = [
        f"# {record['name']} on {record['device']}",
        "",
        f"`{record['command']}`",
        "",
        f"| {' | '.join(columns)} |",
        "|---" + "|---:" * (len(columns) - 1) + "|",
        *(f"| {' | '.join(row)} |" for row in _cell_rows(record)),
        "",
        "| clock and path | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in figures(record).items()),
        *(f"| seed {s['seed']} | {s['mhz']:.1f} MHz, {s['stage']} |" for s in record["seeds"]),
        "",
        "With " + ", ".join(f"{name} {version}" for name, version in record["versions"].items()) + ".",
    ]
    return "\n".join(lines) + "\n"
