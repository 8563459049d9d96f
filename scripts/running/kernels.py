"""Kernels run: by the executor, by the cycle model, or on the simulated RTL, with the same bits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from arch.core.config import CoreConfig
from arch.core.presets import CORES
from arch.core.signals import core_record
from arch.elements import ELEMENTS
from golden.core.executor import ProgramError, execute
from golden.core.jobs import Job
from golden.core.model import Core
from golden.core.races import check_races
from golden.core.stores import Memory
from golden.numerics.conversions import encode
from kernels.language import Kernel, KernelError, Place, Program
from scripts.running.kernel_times import Ran, Recorder, Result

if TYPE_CHECKING:
    from verif.simulation.simulate import UnitRun

__all__ = ["BACKENDS", "Result", "RtlDiffers", "build", "run"]

BACKENDS = ("golden", "cycles", "rtl")
#: Cycles from a burst's address to its first beat.
LATENCY = 50
#: The type of an array's elements, where its own says it.
_TYPES = {"float32": "fp32", "uint32": "u32", "uint16": "bf16"}


#: Told how many instructions are complete, and of how many.
Progress = Callable[[int, int], None]


class RtlDiffers(RuntimeError):
    """The RTL and the golden model are not the same in every cycle. Member: run, with what differs."""

    def __init__(self, run: "UnitRun") -> None:
        super().__init__("\n".join(["the RTL differs from the golden model", *run.lines()]))
        self.run = run


@dataclass(frozen=True)
class _Given:
    """A tensor as it was given: codes of a type."""

    codes: np.ndarray
    dtype: str


def run(
    kernel: Kernel,
    tensors: Sequence,
    *,
    config: str | CoreConfig = "fp8",
    backend: str = "golden",
    latency: int = LATENCY,
    progress: Progress = lambda complete, total: None,
    **constants: object,
) -> Result:
    """Run a kernel on tensors.

    Parameters
    ----------
    kernel : Kernel
    tensors : sequence
        For each parameter an array: float32, uint32, or codes: uint16 of bf16. Or a pair of an array and a dtype: uint8
        codes and whether they are e4m3 or e5m2; float32 numbers that are to be converted, nearest even and saturating.
    config : str or CoreConfig
        A core, or the name of one of ``CORES``.
    backend : str
        ``"golden"``: the executor, which knows no time. ``"cycles"``: the cycle model. ``"rtl"``: the simulated RTL,
        every cycle compared with the cycle model.
    latency : int
        Cycles from a burst's address to its first beat.
    progress : callable
        Told, now and then, how many instructions are complete, and of how many.
    constants : object
        What the kernel takes beside tensors.

    Returns
    -------
    Result
        The outputs, and for the two backends that know time, cycles.

    Raises
    ------
    KernelError
        For a mistake in the kernel, also for one that only shows when it runs.
    TypeError, ValueError
        For tensors, a configuration or a backend that are none.
    RtlDiffers
        If the RTL differs from the golden model.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend must be {', '.join(BACKENDS)}, not {backend!r}")
    core = _core(config)
    given = [_given(number, tensor) for number, tensor in enumerate(tensors)]
    program = build(kernel, [(each.codes.shape, each.dtype) for each in given], config=core, **constants)
    ran = _RUNS[backend](program, _memory(program, given), latency, progress)
    outputs, parameters = (
        [_result(ran.memory, place) for place in program.of_kind(kind)] for kind in ("output", "parameter")
    )
    return Result(program=program, outputs=outputs, tensors=parameters, ran=ran)


def build(
    kernel: Kernel,
    parameters: Sequence[tuple[Sequence[int], str]],
    *,
    config: str | CoreConfig = "fp8",
    **constants: object,
) -> Program:
    """The program of a kernel for parameters of some shapes and dtypes, free of races. Raises as ``run`` does."""
    program = kernel.build(_core(config), parameters, **constants)
    # Whoever derives the waits has no part in this check.
    check_races(program.instructions, program.config)
    return program


def _core(config: str | CoreConfig) -> CoreConfig:
    if isinstance(config, CoreConfig):
        return config
    if config not in CORES:
        raise ValueError(f"config must be a CoreConfig or {', '.join(CORES)}, not {config!r}")
    return CORES[config]


# ---- tensors in memory ----------------------------------------------------------------------------


def _given(number: int, tensor: object) -> _Given:
    values, dtype = tensor if isinstance(tensor, tuple) else (tensor, None)
    values, name = np.asarray(values), f"tensor {number}"
    found = _TYPES.get(values.dtype.name)
    if dtype is None:
        if found is None:
            rule = "must be float32, uint32, uint16 (bf16), or a pair with its dtype where it is uint8"
            raise TypeError(f"{name} {rule}, not {values.dtype}")
        dtype = found
    if dtype not in ELEMENTS:
        raise ValueError(f"{name}'s dtype must be {', '.join(ELEMENTS)}, not {dtype!r}")
    if values.dtype == np.float32 and dtype not in ("fp32", "u32"):
        values = encode(values, dtype)
    if values.dtype.itemsize != ELEMENTS[dtype].bytes or values.dtype.kind not in ("u", "f"):
        raise TypeError(f"{name} must be codes of {8 * ELEMENTS[dtype].bytes} bits for {dtype}, not {values.dtype}")
    return _Given(np.ascontiguousarray(values).view(f"u{ELEMENTS[dtype].bytes}"), dtype)


def _elements(memory: np.ndarray, place: Place) -> np.ndarray:
    """A tensor's elements where they lie."""
    return np.ndarray(place.shape, f"<u{ELEMENTS[place.dtype].bytes}", memory, place.address, place.strides)


def _result(memory: np.ndarray, place: Place) -> np.ndarray:
    """A copy of a tensor: numbers of fp32, codes of other types."""
    codes = _elements(memory, place).copy()
    return codes.view(np.float32) if place.dtype == "fp32" else codes


def _memory(program: Program, given: Sequence[_Given]) -> np.ndarray:
    """uint8[memory_bytes]: parameters and constants, zeros elsewhere."""
    memory = np.zeros(program.memory_bytes, np.uint8)
    for place, each in zip(program.of_kind("parameter"), given, strict=True):
        _elements(memory, place)[...] = each.codes
    for place in program.of_kind("constant"):
        memory[place.address : place.address + place.bytes] = np.frombuffer(place.contents, np.uint8)
    return memory


# ---- the three backends -----------------------------------------------------------------------------


def _job(program: Program, memory: np.ndarray) -> Job:
    """The program behind its tensors."""
    size = program.memory_bytes + program.code_bytes
    return Job(
        program=program.instructions,
        address=program.memory_bytes,
        image=[(0, memory.tobytes())],
        size=-(-size // Job.WINDOW_BYTES) * Job.WINDOW_BYTES,
    )


def _golden(program: Program, memory: np.ndarray, latency: int, progress: Progress) -> Ran:
    written = np.zeros(len(memory), bool)
    for place in (*program.of_kind("parameter"), *program.of_kind("constant")):
        written[place.address : place.address + place.bytes] = True
    try:
        total = len(program.instructions)
        execute(
            program.instructions,
            Memory(memory, written),
            program.config,
            progress=lambda complete: progress(complete, total),
        )
    except ProgramError as error:
        raise KernelError(str(error), program.sources[error.number]) from None
    return Ran(memory=memory)


def _cycles(program: Program, memory: np.ndarray, latency: int, progress: Progress) -> Ran:
    model, recorder = Core(program.config), Recorder(program.config)
    model.offer(_job(program, memory))
    words = np.empty((1024, core_record(program.config).words), np.uint32)
    while not model.done:
        recorder.see(model.run(len(words), until_done=True, latency=latency, out=words))
        progress(recorder.complete, len(program.instructions))
    return _ran(program, model, recorder)


def _ran(program: Program, model: Core, recorder: Recorder) -> Ran:
    """The run of a model that is done. Raises KernelError if something stopped it."""
    if model.stop is not None:
        reason, number = model.stop
        raise KernelError(f"instruction {number} stopped the core: {reason}", program.sources[number])
    return recorder.ran(model.memory, program.instructions)


def _rtl(program: Program, memory: np.ndarray, latency: int, progress: Progress) -> Ran:
    # The simulator is loaded where it is used.
    from verif.core.unit import watched_unit
    from verif.simulation.simulate import simulate_unit

    (unit, cores), recorder = watched_unit(program.config), Recorder(program.config)
    job = _job(program, memory)

    def see(records: np.ndarray) -> None:
        recorder.see(records)
        progress(recorder.complete, len(program.instructions))

    ran = simulate_unit(unit, [job], pace={"latency": latency}, observe=see)
    if ran.mismatches:
        raise RtlDiffers(ran)
    # Every beat that was written was compared: what the model's memory holds is what the RTL's does.
    return replace(_ran(program, cores[0], recorder), compared_cycles=ran.compared_cycles)


_RUNS: dict[str, Callable[[Program, np.ndarray, int, Progress], Ran]] = {
    "golden": _golden,
    "cycles": _cycles,
    "rtl": _rtl,
}
