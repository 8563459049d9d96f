"""What verification knows of the signals of a core: a probe for each entry of ``arch.core.signals``."""

from collections.abc import Callable, Iterator

from arch.core.config import CoreConfig
from arch.core.instructions import decode, disassemble
from arch.core.layouts import dispatch_layout
from arch.core.signals import read_ports, write_ports
from arch.record import Field
from verif.core.terms import at_head, dispatched, in_hand, moving, of_memory
from verif.simulation.hints import earlier_or_later, one_bit, only_part
from verif.simulation.unit import Probe
from verif.simulation.window import Moment

__all__ = ["PROBES"]

#: Cause before effect within a cycle. Registers, and what memory reads; what only they decide, what leaves by a port or
#: goes into the array; who may write; whether a pipeline moves, takes an element, and which source gives one; whether a
#: reader wants the next row; who may read; what begins or ends with all that.
REGISTER, FROM_REGISTERS, WRITE_GRANT, ADVANCE, TAKE, READY, READ, READ_GRANT, EVENT = range(9)

_HINTS = (only_part("data", "enable", "code", "codes"), earlier_or_later, one_bit)
_LANE_ENGINES = ("vector", "scalar")
_REDUCE = 4


def _files(*names: str) -> str:
    return ", ".join(name if "/" in name else f"hw/core/{name}.py" for name in names)


#: What decides in the engine behind each queue but the DMA's, when it starts and when it is complete.
_ENGINES = (("front_end", "reader"), ("vector_engine", "lane_engine"), ("scalar_engine", "lane_engine"))
#: What computes in a lane of each lane engine.
_LANES = (("vector_lane", "float_alu"), ("scalar_lane", "hw/arithmetic/interpolator.py"))


def _engine(queue: int) -> tuple[str, ...]:
    return _ENGINES[queue] if queue < len(_ENGINES) else ("dma_queue",)


def _queue_of(ports: Callable[[CoreConfig], tuple[str, ...]]) -> Callable[[Moment], int]:
    """The queue whose engine has the port of a signal."""

    def queue(at: Moment) -> int:
        name = ports(at.config)[at.row].partition("_")[0]
        return at.config.queues.index("tensor" if name in ("moving", "stationary") else name)

    return queue


_reader = _queue_of(read_ports)
_writer = _queue_of(write_ports)


def _reads(at: Moment) -> str:
    """The engine, and what walks its pattern."""
    queue = _reader(at)
    return _files("dma_queue", "burst_walker") if queue >= len(_ENGINES) else _files("reader", *_engine(queue))


def _writes(at: Moment) -> str:
    """What gives the data, if nothing else is wrong; else what decides on rows."""
    found = at.layout.unpack(at.actual) if isinstance(at.actual, int) else {}
    wrong = {name for name, value in at.parts.items() if found.get(name) != value}
    if at.row >= len(_LANE_ENGINES):
        return (
            _files("lane_buffer", "rotator") if wrong == {"data"} else _files("dma_queue", "dma_side", "burst_walker")
        )
    if wrong != {"data"}:
        return _files(*_engine(1 + at.row), "walk")
    reduces = at.at("phase", at.row)
    if reduces.known and reduces.bits == _REDUCE:
        return _files("reducer", *_LANES[at.row])
    return _files(*_LANES[at.row], "lane", "reader")


def _lane_engine(at: Moment) -> int:
    return 1 + at.row


def _first_dma(at: Moment) -> int:
    return at.config.queues.index("dma0") + at.row


def _parts(instance: str, names: tuple[str, ...]):
    """A concatenation of ports of an instance, the first lowest; ``{row}`` in it is the signal's."""

    def path(config: CoreConfig, field: Field, dut: str) -> str:
        parts = (f"{dut}.{instance.format(row=field.row)}{name}" for name in reversed(names))
        return f"{{{', '.join(parts)}}}"

    return path


def _queue(port: str, lane_engine: bool = False):
    """A port of what is in front of, or behind, a queue."""

    def path(config: CoreConfig, field: Field, dut: str) -> str:
        name = config.queues[field.row]
        return f"{dut}.{'front_end' if lane_engine and name == 'tensor' else name}{port}"

    return path


def _instance(port: str):
    """A port of the vector or of the scalar engine."""

    def path(config: CoreConfig, field: Field, dut: str) -> str:
        return f"{dut}.{_LANE_ENGINES[field.row]}.{port}"

    return path


def _dispatched(config: CoreConfig, bits: int) -> str:
    parts = dispatch_layout(config).unpack(bits)
    if not parts["valid"]:
        return "none"
    try:
        return disassemble(decode(parts["code"].to_bytes(64, "little")))
    except ValueError as error:
        return f"no instruction: {error}"


def _port(*files: str) -> Probe:
    return Probe(
        place="port {name}", stage="memory", files=_files(*files), rank=FROM_REGISTERS, term=of_memory, hints=_HINTS
    )


def _ports(names: tuple[str, ...], *files: str) -> dict[str, Probe]:
    return {name: _port(*files) for name in names}


def _stream(
    name: str, port: str, *, gives: tuple[str, ...], takes: tuple[str, ...], term, rank: int
) -> dict[str, Probe]:
    """A stream of the tensor engine: the files that decide what is on it, and those that decide when it is ready."""

    def probe(part: str, files: tuple[str, ...], rank: int, causes=lambda at: ()) -> Probe:
        return Probe(
            place=f"tensor engine, {name} {part}",
            stage="tensor engine",
            files=_files(*files),
            path=f"{{dut}}.engine.{port}__{part}",
            rank=rank,
            term=term,
            hints=_HINTS,
            causes=causes,
        )

    # The element that a reader gives was read in the cycle before, if not earlier.
    data = {"activation": 0, "weight": 1}.get(name)
    return {
        f"{name}_valid": probe("valid", gives, REGISTER),
        f"{name}_ready": probe("ready", takes, rank),
        f"{name}_payload": probe(
            "payload", gives, FROM_REGISTERS, lambda at: () if data is None else [at.at("read_data", data)]
        ),
    }


def _requests(name: str) -> Callable[[Moment], Iterator[Moment]]:
    """Of a grant: the request, and those that go first."""

    def causes(at: Moment) -> Iterator[Moment]:
        return (at.at(name, row) for row in range(at.row, -1, -1))

    return causes


_tensor = in_hand(lambda at: 0)
_SEQUENCER = ("hw/tensor/sequencer.py",)

PROBES = {
    # ---- ports ---------------------------------------------------------------------------------
    "i_program__ready": _port("dispatcher"),
    **_ports(("i_r__ready", "i_b__ready"), "memory_port", "owners"),
    **_ports(("o_ar__valid", "o_ar__payload"), "memory_port", "dma_queue", "burst_walker", "dispatcher"),
    **_ports(("o_aw__valid", "o_aw__payload"), "memory_port", "dma_queue", "burst_walker"),
    **_ports(("o_w__valid", "o_w__payload"), "dma_queue", "lane_buffer", "memory_port"),
    # ---- dispatch ------------------------------------------------------------------------------
    "o_running": Probe(place="port o_running", stage="dispatch", files=_files("dispatcher"), term=dispatched),
    "o_stop": Probe(
        place="port o_stop",
        stage="stop",
        files=_files("watch", "legal", "sbuf", "dma_index", "memory_port"),
        term=dispatched,
        hints=_HINTS,
    ),
    "dispatched": Probe(
        place="instruction dispatched",
        stage="dispatch",
        files=_files("dispatcher", "legal", "memory_port"),
        path="{{{dut}.dispatcher.o_number, {dut}.dispatcher.o_code, |{dut}.dispatcher.o_gives}}",
        term=dispatched,
        contents=_dispatched,
        hints=_HINTS,
    ),
    "level": Probe(
        place="queue {row}, instructions waiting",
        stage="instruction queue",
        files=_files("instruction_queue", "dispatcher"),
        path=_queue("_queue.o_level"),
        term=at_head,
    ),
    "starts": Probe(
        place="queue {row}, head taken",
        stage="start",
        files=lambda at: _files("instruction_queue", "dispatcher", *_engine(at.row)),
        path=_queue("_queue.i_take"),
        rank=EVENT,
        term=at_head,
        causes=lambda at: [at.same("level")],
    ),
    "completes": Probe(
        place="queue {row}, instruction complete",
        stage="completion",
        files=lambda at: _files(*_engine(at.row), *(("memory_port",) if at.row >= len(_ENGINES) else ())),
        path=_queue(".o_complete", lane_engine=True),
        rank=EVENT,
        term=lambda at: in_hand(lambda at: at.row)(at) if at.row else moving(at),
    ),
    "o_doing": Probe(
        place="queue {row}, what it is doing",
        stage="doing",
        files=_files("doing", "core"),
        path="{dut}.o_doing__{row}",
        rank=EVENT,
        term=lambda at: in_hand(lambda at: at.row)(at) or at_head(at),
        causes=lambda at: [at.same("level"), at.same("starts")],
    ),
    # ---- SBUF ----------------------------------------------------------------------------------
    "read": Probe(
        place="SBUF read port {row}",
        stage="read request",
        files=_reads,
        path=_parts("sbuf.reads__{row}__", ("valid", "row")),
        rank=READ,
        term=lambda at: moving(at) if at.row == 0 else in_hand(_reader)(at),
        hints=_HINTS,
    ),
    "read_grant": Probe(
        place="SBUF read port {row}, grant",
        stage="SBUF",
        files=_files("sbuf"),
        path=_parts("sbuf.reads__{row}__", ("grant",)),
        rank=READ_GRANT,
        term=lambda at: moving(at) if at.row == 0 else in_hand(_reader)(at),
        causes=_requests("read"),
    ),
    "read_data": Probe(
        place="SBUF read port {row}, data",
        stage="SBUF",
        files=_files("sbuf_lane", "sbuf"),
        path=_parts("sbuf.reads__{row}__", ("data",)),
        term=lambda at: moving(at) if at.row == 0 else in_hand(_reader)(at),
        hints=_HINTS,
        causes=lambda at: [at.same("read", ago=1), at.same("read_grant", ago=1)],
    ),
    "write": Probe(
        place="SBUF write port {row}",
        stage="write request",
        files=_writes,
        path=_parts("sbuf.writes__{row}__", ("valid", "row", "enable", "data")),
        term=in_hand(_writer),
        hints=_HINTS,
    ),
    "write_grant": Probe(
        place="SBUF write port {row}, grant",
        stage="SBUF",
        files=_files("sbuf"),
        path=_parts("sbuf.writes__{row}__", ("grant",)),
        rank=WRITE_GRANT,
        term=in_hand(_writer),
        causes=_requests("write"),
    ),
    # ---- engines -------------------------------------------------------------------------------
    **_stream("command", "i_command", gives=("front_end",), takes=_SEQUENCER, term=_tensor, rank=FROM_REGISTERS),
    **_stream("weight", "i_weight", gives=("front_end", "reader"), takes=_SEQUENCER, term=_tensor, rank=FROM_REGISTERS),
    **_stream(
        "activation", "i_activation", gives=("front_end", "reader"), takes=_SEQUENCER, term=moving, rank=FROM_REGISTERS
    ),
    **_stream("result", "o_result", gives=("hw/tensor/engine.py",), takes=("lane_engine",), term=_tensor, rank=READY),
    **{
        name: Probe(
            place=f"lane engine {{row}}, {place}",
            stage="lane engine",
            files=lambda at: _files(*_engine(_lane_engine(at))),
            path=_instance(port),
            rank=rank,
            term=in_hand(_lane_engine),
            causes=causes,
        )
        for name, place, port, rank, causes in (
            ("phase", "phase", "o_phase", REGISTER, lambda at: [at.ago(1)]),
            ("take", "element taken", "o_element", TAKE, lambda at: [at.same("advance"), at.at("result_valid")]),
            ("advance", "pipeline moves", "o_advance", ADVANCE, lambda at: [at.same("write_grant")]),
        )
    },
    **{
        name: Probe(
            place=f"DMA queue {{row}}, chunks {name}",
            stage="DMA",
            files=_files("dma_queue", *more),
            path=f"{{dut}}.dma{{row}}.o_{name}",
            term=in_hand(_first_dma),
        )
        for name, more in (
            ("asked", ("burst_walker",)),
            ("filled", ("memory_port", "owners")),
            ("drained", ("burst_walker",)),
        )
    },
}
