"""Builds arrays of several sizes, formats and accumulations: the table and the plot of docs/fpga.md."""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from arch.tensor.config import EngineConfig
from scripts.flows.fpga.build import Job, Synthesis, synthesise
from scripts.flows.fpga.fit import excess, expected
from scripts.flows.fpga.report import lut_equivalents, make_record
from scripts.flows.fpga.run import FOLDER, DoesNotFit, build, steps
from scripts.flows.fpga.tools import Device, ToolError, Tools, find_device, versions
from scripts.ground.errors import InputError
from scripts.ground.files import make_folder, save
from scripts.ground.pages import DOCS, around_table, put_table
from scripts.ground.tables import plain_table
from scripts.ground.terminal import Terminal
from scripts.running.configs import make_config

__all__ = ["SIZES", "VARIANTS", "Variant", "run_sweep"]

COMMAND = "make fpga-sweep"
SIZES = (2, 4, 8)
#: An array of more LUT4-equivalents is placed once where the number of seeds is not given: it takes minutes a seed.
MANY = 8_000


@dataclass(frozen=True, eq=False)
class Variant:
    """A kind of array: fields of EngineConfig but the size, and whether multipliers may be used.

    ``sizes``: those built unless others are asked for.
    """

    name: str
    fields: dict[str, object]
    dsp: bool = False
    sizes: tuple[int, ...] = SIZES

    def config(self, size: int) -> EngineConfig:
        """Of so many rows and columns."""
        return make_config({"rows": size, "cols": size} | self.fields, f"{self.name}: ")


E4M3, FP8 = ("e4m3",), ("e4m3", "e5m2")
VARIANTS = (
    Variant("e4m3 exact", {"formats": E4M3, "accumulation": "exact", "product_latency": 2}),
    Variant("e4m3 exact, DSP", {"formats": E4M3, "accumulation": "exact", "integer_operands": True}, dsp=True),
    Variant("e4m3+e5m2 exact", {"formats": FP8, "accumulation": "exact", "product_latency": 2}, sizes=(2, 4)),
    Variant("e4m3+e5m2 fp32", {"formats": FP8, "accumulation": "fp32", "add_latency": 5}, sizes=(2, 4)),
    Variant("bf16 fp32", {"formats": ("bf16",), "accumulation": "fp32", "add_latency": 5}, sizes=(2, 4)),
)


def choose(only: Sequence[str]) -> list[Variant]:
    """The variants whose names are or begin with those given, or all. InputError where a name fits none."""
    for name in only:
        if not any(variant.name.startswith(name) for variant in VARIANTS):
            known = ", ".join(variant.name for variant in VARIANTS)
            raise InputError(f"--only: no variant {name}; takes the beginning of a name: {known}")
    return [variant for variant in VARIANTS if not only or variant.name.startswith(tuple(only))]


def parse_sizes(text: str) -> tuple[int, ...]:
    """Sizes from ``2,4,8``; also ``2x2``. InputError for anything else."""
    sizes = []
    for word in text.split(","):
        rows, _, cols = word.strip().partition("x")
        if not rows.isdecimal() or (cols and cols != rows) or not 1 <= int(rows) <= 256:
            raise InputError(f"--sizes: {word.strip()!r}; takes rows of square arrays, 1..256, as in 2,4,8")
        sizes.append(int(rows))
    return tuple(sorted(set(sizes)))


def _build_variant(
    variant: Variant, device: Device, sizes: Sequence[int], seeds: int | None, tools: Tools, show: Callable[..., None]
) -> list[dict]:
    """The records of a variant, smallest array first. One that does not fit has ``error`` instead of figures."""
    records = []
    before: tuple[Job, Synthesis, dict[str, int]] | None = None
    for size in sizes:
        config = variant.config(size)
        job = Job(config=config, part="array", device=device, dsp=variant.dsp)
        record = {"variant": variant.name, "size": size}
        name = f"{variant.name} {size}x{size}"
        try:
            if before:
                # Synthesis of what cannot fit would take longest of all.
                need = expected(before[0], before[1], size, size)
                over = excess({kind: (round(need.get(kind, 0)), there) for kind, there in before[2].items()})
                if over:
                    raise DoesNotFit(f"about {over}")
            first = synthesise(job, tools, lambda step, name=name: show(f"{name} on {device.name}, synthesis", step))
            many = lut_equivalents(first.cells, device.family.carry_luts) > MANY
            synthesis, routed = build(job, name, seeds or (1 if many else 3), 1, tools, show)
            record |= make_record(job, name, synthesis, routed, "")
            before = job, synthesis, {kind: pair["available"] for kind, pair in record["device_cells"].items()}
        except DoesNotFit as error:
            record["error"] = str(error).partition(": ")[2] if ": " in str(error) else str(error)
            show(name, "done")
        records.append(record)
    return records


def run_sweep(
    *, device: str, only: Sequence[str], sizes: str | None, seeds: int | None, jobs: int, docs: bool, command: str
) -> None:
    """Build them all, print the table, write build/fpga/sweep.json, .md and .svg; with ``docs`` docs/fpga.* too."""
    chosen, found = choose(only), find_device(device)
    wanted = {variant: variant.sizes if sizes is None else parse_sizes(sizes) for variant in chosen}
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ToolError("the plot needs matplotlib: pip install matplotlib, or make fpga-sweep") from None
    if docs:
        around_table(DOCS / "fpga.md", COMMAND)
    tools_used = versions(found.family)
    for variant in chosen:
        for size in wanted[variant]:
            variant.config(size)
    make_folder(str(FOLDER))
    tools = Tools()
    # The variants that take longest first, so that no thread works alone for long.
    with steps() as show, ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(_build_variant, v, found, wanted[v], seeds, tools, show) for v in reversed(chosen)]
        try:
            records = [record for future in reversed(futures) for record in future.result()]
        except BaseException:
            tools.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    page = markdown(records, found.name, tools_used, command)
    save(FOLDER / "sweep.json", json.dumps({"command": command, "device": found.name, "records": records}, indent=1))
    save(FOLDER / "sweep.md", page)
    draw(records, FOLDER / "sweep.svg", found.name)
    terminal = Terminal()
    # What fits 80 columns: without GMAC/s.
    table = plain_table(
        "per PE", "LUT4-eq", "FF", "DSP", "MHz", "of", "critical path", text=("per PE", "critical path")
    )
    for row in rows(records):
        table.add_row(*row[:6], row[7])
    terminal.table(table)
    written = [FOLDER / f"sweep.{ending}" for ending in ("json", "md", "svg")]
    if docs:
        put_table(DOCS / "fpga.md", COMMAND, f"\n{page}\n\n")
        draw(records, DOCS / "fpga.svg", found.name)
        written += [DOCS / "fpga.md", DOCS / "fpga.svg"]
    terminal.line(f"wrote {', '.join(str(path) for path in written)}")


COLUMNS = ("LUT4-eq/PE", "FF/PE", "DSP/PE", "MHz", "of", "GMAC/s", "critical path")


def rows(records: Sequence[dict]) -> list[list[str]]:
    """The table's rows, as text."""
    made = []
    for record in records:
        name = f"{record['variant']} {record['size']}x{record['size']}"
        if "error" in record:
            made.append([name, *([""] * (len(COLUMNS) - 1)), f"does not fit: {record['error'].partition(';')[0]}"])
            continue
        per_pe, mhz = record["per_pe"], record["mhz"]
        made.append(
            [
                name,
                f"{per_pe['lut4_equivalents']:,.0f}",
                f"{per_pe['ff']:,.0f}",
                f"{per_pe['dsp']:g}",
                f"{mhz['median']:.0f}",
                f"{mhz['min']:.0f}..{mhz['max']:.0f}" if len(record["seeds"]) > 1 else "1 seed",
                f"{record['peak_gmacs']:.2f}",
                record["critical_path"]["stage"],
            ]
        )
    return made


def markdown(records: Sequence[dict], device: str, tools: dict[str, str], command: str) -> str:
    """The table and the plot as docs/fpga.md has them."""
    lines = [
        f"`{command}`, with {', '.join(f'{name} {version}' for name, version in tools.items())}, {device}:",
        "",
        f"| array | {' | '.join(COLUMNS)} |",
        "|---" + "|---:" * (len(COLUMNS) - 1) + "|---|",
        *(f"| {' | '.join(row)} |" for row in rows(records)),
        "",
        "![LUT4-equivalents per PE, and clock](fpga.svg)",
    ]
    return "\n".join(lines)


def draw(records: Sequence[dict], path: Path, device: str) -> None:
    """Two panels over the size of the array: LUT4-equivalents per PE and the clock, a line for each variant."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    colours = ("#3b6fb6", "#d9782d", "#4b9b59", "#8a5aa8", "#b5403f")
    style = {"font.family": "DejaVu Sans", "font.size": 9, "svg.hashsalt": "systolith"}
    with plt.rc_context(style):
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8))
        names = list(dict.fromkeys(record["variant"] for record in records))
        sizes = sorted({record["size"] for record in records})
        for name, colour in zip(names, colours, strict=False):
            built = [record for record in records if record["variant"] == name and "mhz" in record]
            if not built:
                continue
            at = [sizes.index(record["size"]) for record in built]
            left.plot(at, [r["per_pe"]["lut4_equivalents"] for r in built], "o-", color=colour, label=name)
            middle = [r["mhz"]["median"] for r in built]
            spread = [
                [value - r["mhz"]["min"] for value, r in zip(middle, built, strict=True)],
                [r["mhz"]["max"] - value for value, r in zip(middle, built, strict=True)],
            ]
            right.errorbar(at, middle, yerr=spread, fmt="o-", color=colour, capsize=3, label=name)
        left.set(title="LUT4-equivalents per PE", yscale="log")
        left.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))
        left.yaxis.set_minor_formatter(matplotlib.ticker.NullFormatter())
        left.set_yticks([50, 100, 200, 500, 1000, 2000])
        right.set(title="clock in MHz: median, least and most of the seeds", ylim=(0, None))
        for axis in (left, right):
            axis.set_xticks(range(len(sizes)), [f"{size} x {size}" for size in sizes])
            axis.set_xlim(-0.3, len(sizes) - 0.7)
            axis.grid(axis="y", lw=0.3)
            axis.set_axisbelow(True)
            for side in ("top", "right"):
                axis.spines[side].set_visible(False)
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="lower center", ncols=len(labels), frameon=False)
        figure.suptitle(f"The array alone on an {device}", fontsize=11)
        figure.tight_layout(rect=(0, 0.07, 1, 1))
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
