"""Attention run wholly on a simulated core: a program, its tensors in memory, the result read back from there."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from arch.core.config import CoreConfig
from arch.core.layouts import DOINGS
from arch.core.presets import CORES
from arch.core.signals import core_record
from arch.tensor.config import EngineConfig
from golden.core.jobs import Job
from kernels.attention import attention_program
from kernels.attention_sizes import SCALES, AttentionSizes, Scratch, Tensors
from scripts.ground.progress import progress_bar
from scripts.running.backends import waves_folder

if TYPE_CHECKING:
    from verif.simulation.simulate import UnitRun

__all__ = ["LATENCY", "CoreRun", "OffCore", "Plan", "core_for", "plan", "simulate_plan"]

#: Presets whose cores are small enough to be simulated.
_SIMULATED = ("tiny", "fp8", "bf16")
#: Cycles from a burst's address to its first beat.
LATENCY = 50
#: Memory's addresses are multiples of it, and tensors begin there.
_ALIGNED = 256


class OffCore(Exception):
    """Why a core does not do it."""


@dataclass(frozen=True)
class Plan:
    """An attention as a job of a core, and where its result, float32[shape], will be."""

    config: CoreConfig
    job: Job
    out: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class CoreRun:
    """What a simulation of a plan showed.

    ``cycles``: from the start of the program to its last write; 0 where the RTL went wrong before.
    ``engines``: of these, by queue, how many it spent on what, each of ``DOINGS``; none where the RTL went wrong.
    ``result``: float32, as memory has it at the end.
    """

    run: "UnitRun"
    cycles: int
    engines: dict[str, dict[str, int]]
    result: np.ndarray


@dataclass
class _Image:
    """Memory in the making."""

    pieces: list[tuple[int, memoryview]] = field(default_factory=list)
    size: int = 0

    def reserve(self, size: int) -> int:
        """The address of so many bytes."""
        address = self.size
        self.size += -(-size // _ALIGNED) * _ALIGNED
        return address

    def put(self, tensor: np.ndarray) -> int:
        """The address of a tensor that is there when the program begins."""
        address = self.reserve(tensor.nbytes)
        self.pieces.append((address, memoryview(np.ascontiguousarray(tensor)).cast("B")))
        return address


class _Doings:
    """Counts, over the records of a core, the cycles in which each queue was doing what."""

    def __init__(self, config: CoreConfig):
        record = core_record(config)
        self.words = {queue: record.at("o_doing", row).start for row, queue in enumerate(config.queues)}
        self.running = record.at("o_running").start
        self.counts = {queue: np.zeros(len(DOINGS), np.int64) for queue in config.queues}

    def __call__(self, records: np.ndarray) -> None:
        records = records[records[:, self.running] != 0]
        for queue, word in self.words.items():
            self.counts[queue] += np.bincount(records[:, word], minlength=len(DOINGS))

    def by_queue(self) -> dict[str, dict[str, int]]:
        return {
            queue: {doing: int(count) for doing, count in zip(DOINGS, counts, strict=True)}
            for queue, counts in self.counts.items()
        }


def core_for(config: EngineConfig, recipe: str) -> CoreConfig:
    """The core around an engine. Raises OffCore if there is none, or its program lacks the recipe."""
    cores = [CORES[name] for name in _SIMULATED if CORES[name].engine == config]
    if not cores:
        raise OffCore(f"only the cores of {', '.join(_SIMULATED)} are simulated")
    recipes = [scales for scales in SCALES if scales != "given"]
    if recipe not in recipes:
        raise OffCore(f"the core's program knows {' and '.join(recipes)}, not {recipe}")
    return cores[0]


def plan(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    config: CoreConfig,
    *,
    recipe: str,
    x_format: str,
    w_format: str,
    causal: bool,
) -> Plan:
    """The job of an attention, float32[H, S, D] and [Hkv, T, D] that go together: numbers in memory, and the program.

    Raises OffCore if SBUF does not hold what the program needs.
    """
    sizes = AttentionSizes(
        heads=q.shape[0],
        kv_heads=k.shape[0],
        queries=q.shape[1],
        keys=k.shape[1],
        channels=q.shape[2],
        causal=causal,
        x_type=x_format,
        w_type=w_format,
        quantized=False,
        scales=recipe,
    )
    image = _Image()
    places = {name: image.put(tensor) for name, tensor in (("q", q), ("k", k), ("v", v))}
    out, scratch = image.reserve(q.nbytes), image.reserve(Scratch(config, sizes).bytes)
    try:
        built = attention_program(config, sizes, Tensors(**places, out=out, scratch=scratch))
    except ValueError as error:
        raise OffCore(f"SBUF is too small: {error}") from None
    address = image.reserve(built.code_bytes)
    job = Job(program=built.instructions, address=address, image=image.pieces, size=image.size)
    return Plan(config, job, out, q.shape)


def simulate_plan(planned: Plan) -> CoreRun:
    """The run on the RTL, every cycle compared with the golden model."""
    # The simulator is loaded where it is used.
    from verif.core.unit import watched_unit
    from verif.simulation.simulate import simulate_unit

    (unit, models), doings = watched_unit(planned.config), _Doings(planned.config)
    with progress_bar() as progress:
        task = progress.add_task("building the simulation", total=None)

        def advance(done: int) -> None:
            progress.update(task, description="simulating, cycles", completed=done)

        run = simulate_unit(
            unit, [planned.job], pace={"latency": LATENCY}, observe=doings, progress=advance, waves_folder=waves_folder
        )
    cycles = 0 if run.mismatches else run.compared_cycles - unit.drain
    size = 4 * int(np.prod(planned.shape))
    result = models[0].memory[planned.out : planned.out + size].view(np.float32).reshape(planned.shape)
    return CoreRun(run, cycles, doings.by_queue() if cycles else {}, result)
