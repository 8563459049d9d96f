"""What verification knows of the signals of a core: a probe for each entry of ``arch.core.signals``."""

from arch.core.config import CoreConfig
from arch.core.instructions import decode, disassemble
from arch.core.layouts import dispatch_layout
from arch.record import Field
from verif.simulation.hints import earlier_or_later, one_bit, only_part
from verif.simulation.unit import Probe
from verif.simulation.window import Moment

__all__ = ["PROBES"]

#: Cause before effect: what is asked, who is served, what starts, what is on its way.
REQUEST, GRANT, CONTROL, DATA, PORT = range(5)

_HINTS = (only_part("data", "enable", "code", "codes"), earlier_or_later, one_bit)
#: Files by read and write port of SBUF, and by queue: those behind the engines come after them.
_READERS = ("front_end.py", "front_end.py", "vector_engine.py", "vector_engine.py", "scalar_engine.py")
_WRITERS = ("vector_engine.py", "scalar_engine.py")
_ENGINES = ("front_end.py", "vector_engine.py", "scalar_engine.py")
_LANE_ENGINES = ("vector", "scalar")


def _file(files: tuple[str, ...], row: int) -> str:
    return f"hw/core/{files[row] if row < len(files) else 'dma_queue.py'}"


def _reader(at: Moment) -> str:
    return f"{_file(_READERS, at.row)}, hw/core/reader.py"


def _writer(at: Moment) -> str:
    return f"{_file(_WRITERS, at.row)}, hw/core/lane_engine.py"


def _engine(at: Moment) -> str:
    return f"{_file(_ENGINES, at.row)}, hw/core/instruction_queue.py"


def _lanes(at: Moment) -> str:
    return f"hw/core/{_LANE_ENGINES[at.row]}_engine.py, hw/core/lane_engine.py"


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


def _port(files: str) -> Probe:
    return Probe(place="port {name}", stage="memory", files=files, rank=PORT, hints=_HINTS)


def _stream(name: str, files: str, stage: str) -> dict[str, Probe]:
    """A stream of the tensor engine."""
    port = {"command": "i_command", "weight": "i_weight", "activation": "i_activation", "result": "o_result"}[name]

    def probe(part: str, rank: int) -> Probe:
        return Probe(
            place=f"tensor engine, {name} {part}",
            stage=stage,
            files=files,
            path=f"{{dut}}.engine.{port}__{part}",
            rank=rank,
            hints=_HINTS,
        )

    return {
        f"{name}_valid": probe("valid", CONTROL),
        f"{name}_ready": probe("ready", CONTROL),
        f"{name}_payload": probe("payload", DATA),
    }


_MEMORY = "hw/core/memory_port.py, hw/core/dma_queue.py, hw/core/dispatcher.py"
_FRONT_END = "hw/core/front_end.py, hw/core/reader.py"

PROBES = {
    # ---- ports ---------------------------------------------------------------------------------
    "i_program__ready": _port("hw/core/dispatcher.py"),
    **{
        name: _port(_MEMORY)
        for name in (
            "i_r__ready",
            "i_b__ready",
            *(f"{port}__{part}" for port in ("o_ar", "o_aw", "o_w") for part in ("valid", "payload")),
        )
    },
    # ---- dispatch ------------------------------------------------------------------------------
    "o_running": Probe(
        place="port o_running", stage="dispatch", files="hw/core/dispatcher.py", rank=CONTROL, hints=_HINTS
    ),
    "dispatched": Probe(
        place="instruction dispatched",
        stage="dispatch",
        files="hw/core/dispatcher.py",
        path="{{{dut}.dispatcher.o_code, |{dut}.dispatcher.o_gives}}",
        rank=CONTROL,
        contents=_dispatched,
        hints=_HINTS,
    ),
    "level": Probe(
        place="queue {row}, instructions waiting",
        stage="instruction queue",
        files="hw/core/instruction_queue.py, hw/core/dispatcher.py",
        path=_queue("_queue.o_level"),
        rank=CONTROL,
    ),
    "starts": Probe(
        place="queue {row}, head taken", stage="start", files=_engine, path=_queue("_queue.i_take"), rank=CONTROL
    ),
    "completes": Probe(
        place="queue {row}, instruction complete",
        stage="completion",
        files=_engine,
        path=_queue(".o_complete", lane_engine=True),
        rank=CONTROL,
    ),
    # ---- SBUF ----------------------------------------------------------------------------------
    "read": Probe(
        place="SBUF read port {row}",
        stage="read request",
        files=_reader,
        path=_parts("sbuf.reads__{row}__", ("valid", "row")),
        rank=REQUEST,
        hints=_HINTS,
    ),
    "read_grant": Probe(
        place="SBUF read port {row}, grant",
        stage="SBUF",
        files="hw/core/sbuf.py",
        path=_parts("sbuf.reads__{row}__", ("grant",)),
        rank=GRANT,
    ),
    "read_data": Probe(
        place="SBUF read port {row}, data",
        stage="SBUF",
        files="hw/core/sbuf.py",
        path=_parts("sbuf.reads__{row}__", ("data",)),
        rank=DATA,
        hints=_HINTS,
    ),
    "write": Probe(
        place="SBUF write port {row}",
        stage="write request",
        files=_writer,
        path=_parts("sbuf.writes__{row}__", ("valid", "row", "enable", "data")),
        rank=REQUEST,
        hints=_HINTS,
    ),
    "write_grant": Probe(
        place="SBUF write port {row}, grant",
        stage="SBUF",
        files="hw/core/sbuf.py",
        path=_parts("sbuf.writes__{row}__", ("grant",)),
        rank=GRANT,
    ),
    # ---- engines -------------------------------------------------------------------------------
    **_stream("command", "hw/core/front_end.py", "matmul"),
    **_stream("weight", _FRONT_END, "matmul"),
    **_stream("activation", _FRONT_END, "matmul"),
    **_stream("result", "hw/tensor/engine.py; its ready: hw/core/lane_engine.py", "tensor engine"),
    "phase": Probe(
        place="lane engine {row}, phase", stage="lane engine", files=_lanes, path=_instance("o_phase"), rank=CONTROL
    ),
    "take": Probe(
        place="lane engine {row}, element taken",
        stage="lane engine",
        files=_lanes,
        path=_instance("o_element"),
        rank=CONTROL,
    ),
    "advance": Probe(
        place="lane engine {row}, pipeline moves",
        stage="lane engine",
        files=_lanes,
        path=_instance("o_advance"),
        rank=CONTROL,
    ),
    **{
        name: Probe(
            place=f"DMA queue {{row}}, chunks {name}",
            stage="DMA",
            files="hw/core/dma_queue.py",
            path=f"{{dut}}.dma{{row}}.o_{name}",
            rank=CONTROL,
        )
        for name in ("asked", "filled", "drained")
    },
}
