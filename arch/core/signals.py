"""The signals of a core that a simulation drives and compares in every clock cycle: one entry for each.

Values are those during the cycle, just before the clock edge that ends it; docs/core.md says what each is.
"""

from arch.core.config import CoreConfig
from arch.core.layouts import (
    DOINGS,
    answer_layout,
    burst_layout,
    dispatch_layout,
    program_layout,
    read_beat_layout,
    read_request_layout,
    stop_layout,
    write_beat_layout,
    write_request_layout,
)
from arch.layout import Layout
from arch.record import Entry, Group, Record, stream_ports
from arch.tensor.layouts import activation_layout, command_layout, result_layout, weight_layout

__all__ = ["core_record", "read_ports", "write_ports"]

_FLAG = Layout(flag=1)
#: Chunks counted, modulo that power of two.
_CHUNKS = Layout(chunks=8)


def read_ports(config: CoreConfig) -> tuple[str, ...]:
    """The read ports of SBUF in order of priority."""
    dma = (f"dma{number}" for number in range(config.dma_queues))
    return ("moving", "stationary", "vector_x", "vector_t", "scalar_x", *dma)


def write_ports(config: CoreConfig) -> tuple[str, ...]:
    """The write ports of SBUF in order of priority."""
    return ("vector", "scalar", *(f"dma{number}" for number in range(config.dma_queues)))


def _ports(config: CoreConfig) -> Group:
    return stream_ports(
        {"i_program": program_layout(config), "i_r": read_beat_layout(config), "i_b": answer_layout(config)},
        {"o_ar": burst_layout(config), "o_aw": burst_layout(config), "o_w": write_beat_layout(config)},
    )


def _stream(name: str, payload: Layout) -> list[Entry]:
    return [Entry(f"{name}_valid", _FLAG), Entry(f"{name}_ready", _FLAG), Entry(f"{name}_payload", payload)]


def core_record(config: CoreConfig) -> Record:
    """The record of a core: its ports; then, by ``row``, what is between its blocks.

    ``o_running``: a program is. ``o_stop``: whether it was stopped, and why. ``dispatched``: the instruction given to
    its queue. ``level`` (instructions that wait), ``starts`` (the head is taken), ``completes``, ``o_doing`` (one of
    ``DOINGS``): by queue, as ``config.queues`` has them. ``read``, ``read_grant``,
    ``read_data``: by read port of SBUF. ``write``, ``write_grant``: by write port. The tensor engine's four streams.
    ``phase``, ``take``, ``advance``: of the vector and of the scalar engine. ``asked``, ``filled``, ``drained``: by DMA
    queue.
    """
    engine = config.engine
    streams = [
        *_stream("command", command_layout(engine)),
        *_stream("weight", weight_layout(engine)),
        *_stream("activation", activation_layout(engine)),
        *_stream("result", result_layout(engine)),
    ]
    reads = [
        Entry("read", read_request_layout(config)),
        Entry("read_grant", _FLAG),
        Entry("read_data", Layout(row=config.row_bits)),
    ]
    writes = [Entry("write", write_request_layout(config)), Entry("write_grant", _FLAG)]
    level = Layout(level=config.queue_depth.bit_length())
    doing = Layout(doing=(len(DOINGS) - 1).bit_length())
    queues = [Entry("level", level), Entry("starts", _FLAG), Entry("completes", _FLAG), Entry("o_doing", doing)]
    lanes = [Entry("phase", Layout(phase=3)), Entry("take", _FLAG), Entry("advance", _FLAG)]
    chunks = [Entry(name, _CHUNKS) for name in ("asked", "filled", "drained")]
    return Record(
        [
            _ports(config),
            Group(
                [
                    Entry("o_running", _FLAG),
                    Entry("o_stop", stop_layout()),
                    Entry("dispatched", dispatch_layout(config)),
                ]
            ),
            Group(queues, rows=len(config.queues)),
            Group(reads, rows=len(read_ports(config))),
            Group(writes, rows=len(write_ports(config))),
            Group(streams),
            Group(lanes, rows=2),
            Group(chunks, rows=config.dma_queues),
        ]
    )
