"""What simulation must exercise of a core: the points, and their bins."""

from collections.abc import Sequence

from arch.core.config import CoreConfig
from arch.core.instructions import FUNCTION_NAMES, OPERATIONS, REDUCTIONS
from arch.core.layouts import DOINGS, ERRORS
from arch.core.signals import read_ports, write_ports
from arch.elements import ELEMENTS
from verif.coverage.points import Excluded, Point

__all__ = ["AMOUNTS", "AT_FAULT", "CHANNELS", "LANES", "LEVELS", "MASKS", "SIDES", "SOURCES", "TILES", "plan"]

TYPES = tuple(name for name, element in ELEMENTS.items() if element.format)
SIDES = ("memory", "transposed", "indirect", "sbuf")
#: What an instruction at fault is, or that it was not given to a queue.
AT_FAULT = ("dma", "matmul", "vector", "scalar", "none given")
SOURCES = ("sbuf", "psum")
MASKS = ("none", "at_most", "at_least", "equal")
LANES = ("one", "some", "all")
TILES = {"one": 1, "two": 2, "more": 3}
LEVELS = ("empty", "between", "full")
KINDS = ("immediate", "lane", "tensor")
#: Beats of a burst, by the least.
AMOUNTS = {"one": 1, "two": 2, "more": 3}
#: Streams of the core and of its tensor engine.
CHANNELS = ("o_ar", "o_aw", "o_w", "i_r", "i_b", "command", "weight", "activation", "result")
_NO_YES = ("no", "yes")


def _instructions(config: CoreConfig) -> list[Point]:
    operands = {"a": KINDS, "b": KINDS}
    one_tensor = Excluded("only one of a and b is a tensor", {"a": ("tensor",), "b": ("tensor",)})
    formats = config.engine.formats
    return [
        Point("lanes", "Lanes of an instruction.", {"name": ("dma", "matmul", "vector", "scalar"), "lanes": LANES}),
        Point("dma", "Sides and element sizes.", {"source": SIDES, "sink": SIDES, "size": ("1", "2", "4")}, _in_sbuf()),
        Point("matmul types", "Formats of the operands.", {"stationary": formats, "moving": formats}),
        Point("matmul tiles", "Tiles of K.", {"tiles": tuple(TILES)}),
        Point("vector types", "x to y.", {"x": TYPES, "y": TYPES}),
        Point("vector copy", "u32 elements, unchanged.", {"x": SOURCES[:1]}),
        Point("vector operations", "Both.", {"op0": OPERATIONS, "op1": OPERATIONS}),
        Point("vector operands", "What a and b are.", operands, [one_tensor]),
        Point("vector tensor", "Type of the tensor operand.", {"t": TYPES}),
        Point("vector absolute", "x loses its sign.", {"absolute": _NO_YES, "x": SOURCES}),
        Point("vector mask", "Which elements keep y, and what becomes of y.", {"mask": MASKS, "reduce": REDUCTIONS}),
        Point("vector reduce", "Of x from SBUF and from PSUM.", {"reduce": REDUCTIONS, "x": SOURCES}),
        Point("scalar types", "x to y.", {"x": TYPES, "y": TYPES}),
        Point("scalar operands", "What scale and bias are.", {"scale": KINDS[:2], "bias": KINDS[:2]}),
        Point("scalar function", "f, and whether it is added up.", {"function": FUNCTION_NAMES, "sum": _NO_YES}),
        Point("scalar source", "Where x comes from.", {"x": SOURCES, "write": _NO_YES}),
    ]


def plan(config: CoreConfig) -> Sequence[Point]:
    """All points of a core."""
    queues, reads, writes = config.queues, read_ports(config), write_ports(config)
    itself = [Excluded("a queue does not wait for itself", {"of": (q,), "for": (q,)}) for q in queues]
    banks = tuple(map(str, range(config.banks)))
    return [
        *_instructions(config),
        Point(
            "wait",
            "An instruction is dispatched that waits for another queue, which is ready, or is not.",
            {"of": queues, "for": queues, "must wait": _NO_YES},
            itself,
        ),
        Point("doing", "What a queue is doing, in a cycle.", {"queue": queues, "doing": DOINGS}),
        Point("stop", "What stopped the core.", {"error": ERRORS, "at fault": AT_FAULT}, _blameless()),
        Point("level", "Instructions in a queue, in a cycle.", {"queue": queues, "level": LEVELS}),
        Point("read", "A read port is served.", {"port": reads, "bank": banks}),
        Point("write", "A write port is served.", {"port": writes, "bank": banks}),
        Point("read conflict", "Two ports ask the same bank.", {"first": reads, "second": reads}, _ordered(reads)),
        Point("write conflict", "Two ports ask the same bank.", {"first": writes, "second": writes}, _ordered(writes)),
        Point(
            "stream",
            "A transfer, and a cycle in which a stream waits.",
            {"stream": CHANNELS, "waits": _NO_YES},
        ),
        Point("burst", "Beats of a burst, of two words each.", {"stream": CHANNELS[:2], "beats": tuple(AMOUNTS)}),
        Point("strobes", "Bytes of a beat written.", {"all": _NO_YES}),
        Point(
            "pipeline",
            "A lane engine's pipeline moves, or its write is not granted.",
            {"engine": ("vector", "scalar"), "moves": _NO_YES},
        ),
    ]


def _ordered(ports: tuple[str, ...]) -> list[Excluded]:
    """A port has no conflict with itself, and each pair is counted once: the port that is served first."""
    return [
        Excluded("the first is the one of priority", {"first": (port,), "second": ports[: rank + 1]})
        for rank, port in enumerate(ports)
    ]


def _in_sbuf() -> list[Excluded]:
    """Of an indirect side the other one."""
    elsewhere = SIDES[:-1]
    return [
        Excluded("the other side of an indirect one is in SBUF", {side: ("indirect",), other: elsewhere})
        for side, other in (("source", "sink"), ("sink", "source"))
    ]


def _blameless() -> list[Excluded]:
    """Instructions that an error is never the fault of."""
    engines, nobody = AT_FAULT[1:-1], AT_FAULT[-1:]
    return [
        Excluded("it is not given to a queue", {"error": ("illegal", "limit"), "at fault": AT_FAULT[:-1]}),
        Excluded("only what was given gets to SBUF", {"error": ("sbuf", "index"), "at fault": nobody}),
        Excluded("engines have no indices, and ask nothing of memory",
                 {"error": ("index", "memory", "bus"), "at fault": engines}),
    ]  # fmt: skip
