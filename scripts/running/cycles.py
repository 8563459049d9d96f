"""How long matrix products take on an engine, how well they use it, and where the rest of the time goes."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path

from rich.table import Table

from arch.tensor.config import EngineConfig
from golden.tensor.efficiency import Losses, losses, scale_sim_cycles
from golden.tensor.schedule import readout_cycles
from scripts.ground.errors import InputError
from scripts.ground.tables import plain_table

__all__ = ["LARGEST", "WORKLOADS", "Layer", "load_workloads", "run_cycles", "total"]

#: Real networks as matrix products; docs/performance.md says which.
WORKLOADS = Path(__file__).with_name("workloads.csv")
COLUMNS = ("workload", "layer", "m", "k", "n", "count")
#: The largest size or count: beyond any product that there is, and no figure of a table becomes a float's Inf.
LARGEST = 1 << 32
#: What a table calls the parts of ``Losses``: of one product, and of many, where the ragged edges are one column.
NAMES = {
    "useful": ("every PE multiplies", "used"),
    "ragged_k": ("lanes beyond K", "edge"),
    "ragged_n": ("columns beyond N", "edge"),
    "first_load": ("first weights load", "fill"),
    "load_bound": ("later weights load", "load"),
    "hazard": ("sums not back yet", "sums"),
    "drain": ("array empties", "drain"),
}


@dataclass(frozen=True)
class Layer:
    """``count`` products ``X[m, k] @ W[k, n]``, one after another."""

    name: str
    m: int
    k: int
    n: int
    count: int

    def losses(self, config: EngineConfig) -> Losses:
        """Those of all its products; InputError if the engine does not take them."""
        try:
            return losses(self.m, self.k, self.n, config) * self.count
        except ValueError as error:
            raise InputError(str(error)) from None


def load_workloads(path: str | Path = WORKLOADS) -> dict[str, list[Layer]]:
    """Layers by workload, in the order of a CSV file with the header ``workload,layer,m,k,n,count``.

    InputError, which names the line, if it is anything else.
    """
    try:
        # A spreadsheet begins its file with a byte order mark.
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise InputError(f"--file: cannot read {path}; needs a CSV file of {','.join(COLUMNS)}") from None
    if not lines or tuple(lines[0]) != COLUMNS:
        raise InputError(f"--file: {path} must begin with the line {','.join(COLUMNS)}")
    workloads: dict[str, list[Layer]] = {}
    for number, line in enumerate(lines[1:], 2):
        if not line:
            continue
        try:
            workload, name, *sizes = line
            m, k, n, count = (int(size) for size in sizes)
        except ValueError:
            raise InputError(f"--file: {path}, line {number}: needs two names and four integers") from None
        if not all(1 <= size <= LARGEST for size in (m, k, n, count)):
            raise InputError(f"--file: {path}, line {number}: m, k, n and count must be in 1..{LARGEST}")
        workloads.setdefault(workload, []).append(Layer(name, m, k, n, count))
    if not workloads:
        raise InputError(f"--file: {path} has no layers; needs a line for each")
    return workloads


def total(layers: Iterable[Layer], config: EngineConfig) -> Losses:
    """Those of all layers together."""
    first, *others = (layer.losses(config) for layer in layers)
    return sum(others, first)


def _record(part: Losses, config: EngineConfig) -> dict:
    """Cycles, and the PE cycles that they are made of."""
    pes = config.rows * config.cols
    return {
        "cycles": part.total // pes,
        "ideal_cycles": -(-part.useful // pes),
        "utilization": float(part.shares()["useful"]),
        "pe_cycles": {f.name: getattr(part, f.name) for f in fields(part)},
    }


def gemm_record(m: int, k: int, n: int, config: EngineConfig) -> dict:
    """What ``--json`` prints for one product, with the configuration."""
    part = Layer("", m, k, n, 1).losses(config)
    return {
        "shape": {"m": m, "k": k, "n": n},
        **_record(part, config),
        "readout_cycles": readout_cycles(m, k, n, config),
        "scale_sim_cycles": scale_sim_cycles(m, k, n, config),
    }


def gemm_table(record: dict, config: EngineConfig) -> Table:
    """The same for a person: every part in cycles and as a share."""
    table = plain_table("part", "cycles", "share", text=("part",))
    pes, cycles = config.rows * config.cols, record["cycles"]
    for name, value in record["pe_cycles"].items():
        share = f"{value / (pes * cycles):.1%}"
        table.add_row(NAMES[name][0], _tenths(value, pes), share, end_section=name == "drain")
    table.add_row("all", _tenths(cycles, 1), "100.0%")
    return table


def _tenths(numerator: int, denominator: int) -> str:
    """A quotient to one digit after the point, of integers that a float would round."""
    tenths = round(Fraction(10 * numerator, denominator))
    return f"{tenths // 10:,}.{tenths % 10}"


def workload_record(layers: list[Layer], config: EngineConfig) -> dict:
    """What ``--json`` prints for a workload."""
    rows = [
        {"layer": x.name, "shape": {"m": x.m, "k": x.k, "n": x.n}, "count": x.count} | _record(x.losses(config), config)
        for x in layers
    ]
    return {**_record(total(layers, config), config), "layers": rows}


def layer_table(heading: str, parts: Iterable[tuple[str, Losses]], config: EngineConfig) -> Table:
    """A line for each, several of one name too: products, thousands of cycles, and percent by what became of them."""
    columns = list(dict.fromkeys(column for _, column in NAMES.values()))
    table = plain_table(heading, "GMAC", "kcycles", *columns, text=(heading,))
    for name, part in parts:
        percents = dict.fromkeys(columns, 0.0)
        for field, share in part.shares().items():
            percents[NAMES[field][1]] += 100 * float(share)
        cycles = part.total // (config.rows * config.cols)
        figures = (f"{percent:.1f}" for percent in percents.values())
        table.add_row(name, f"{part.useful / 1e9:.4g}", f"{cycles / 1e3:,.0f}", *figures)
    table.caption = "used ... drain: percent of all PE cycles"
    table.caption_justify = "left"
    return table


def run_cycles(
    shape: tuple[int | None, int | None, int | None],
    workload: str | None,
    path: str | None,
    config: EngineConfig,
) -> tuple[dict, Table]:
    """What the command prints, as JSON and as a table: of one product, of a workload's layers or of all workloads.

    InputError for sizes that are not all there, or for a workload that is not in the file.
    """
    given = [size is not None for size in shape]
    if any(given):
        if not all(given) or workload is not None or path is not None:
            raise InputError("needs all of --m, --k and --n and neither --workload nor --file, or none of the three")
        if max(shape) > LARGEST:
            raise InputError(f"--m, --k and --n must be in 1..{LARGEST}, not {max(shape)}")
        record = gemm_record(*shape, config)
        return record, gemm_table(record, config)
    workloads = load_workloads(WORKLOADS if path is None else path)
    if workload is None:
        record = {name: workload_record(layers, config) for name, layers in workloads.items()}
        totals = [(name, total(layers, config)) for name, layers in workloads.items()]
        return {"workloads": record}, layer_table("workload", totals, config)
    if workload not in workloads:
        raise InputError(f"--workload: no {workload!r}; needs one of {', '.join(workloads)}")
    layers = workloads[workload]
    parts = [(layer.name, layer.losses(config)) for layer in layers] + [("all", total(layers, config))]
    return {"workload": workload} | workload_record(layers, config), layer_table("layer", parts, config)
