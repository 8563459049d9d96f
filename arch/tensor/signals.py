"""The signals of a tensor engine that a simulation drives and compares in every clock cycle: one entry for each.

What verification knows of each, and where it is in the RTL, is in ``verif.tensor.signals`` under the same name.
"""

from arch.record import Entry, Field, Group, Record, record_words, stream_ports
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import (
    activation_layout,
    beat_layout,
    command_layout,
    order_layout,
    pe_layouts,
    pipes_layout,
    psum_layout,
    read_layout,
    readout_layout,
    result_layout,
    seed_layout,
    store_layout,
    weight_layout,
)

__all__ = ["engine_fields", "engine_record", "pe_words"]


def _ports(config: EngineConfig) -> Group:
    return stream_ports(
        {
            "i_command": command_layout(config),
            "i_weight": weight_layout(config),
            "i_activation": activation_layout(config),
        },
        {"o_result": result_layout(config)},
    )


def _pes(config: EngineConfig) -> Group:
    """The registers of every PE."""
    return Group([Entry(*item) for item in pe_layouts(config).items()], rows=config.rows, cols=config.cols)


def _surroundings(config: EngineConfig) -> list[Group]:
    """What enters the array and what goes on at its PSUM, so that a fault there is seen when it happens.

    ``west``, ``north``: the beat and the weights on the way into PE(row, 0) and PE(0, col); an operand whose lane is
    not enabled is 0.
    ``seed_request``, then ``seed`` in the next cycle, 0 while no row is there to use it.
    ``store``, then ``stored`` in the next cycle: the word PSUM now holds at the address, stored there or not; 0
    without a row. ``read``: the word last read out.
    ``order``: the order to read a row out, noted when the last of its activation rows is taken; ``order_read``: how to
    read it out, as the read-out finds it two advances after ``read_request``. Without ``valid`` all else is 0.
    """
    psum = psum_layout(config)
    columns = {
        "north": pipes_layout(config),
        "seed_request": seed_layout(config),
        "seed": psum,
        "store": store_layout(config),
        "stored": psum,
    }
    single = {
        "order": order_layout(config),
        "read_request": read_layout(config),
        "order_read": readout_layout(config),
    }
    return [
        Group([Entry("west", beat_layout(config))], rows=config.rows),
        Group([Entry(*item) for item in columns.items()], cols=config.cols),
        Group([Entry("read", psum)], cols=config.cols),
        Group([Entry(*item) for item in single.items()]),
    ]


def engine_record(config: EngineConfig, *, registers: bool = True) -> Record:
    """The record of a tensor engine: inputs, outputs, then (with ``registers``) the PEs row by row, and what is around.

    Values are those during the cycle, just before the clock edge that ends it.
    """
    inside = [_pes(config), *_surroundings(config)] if registers else []
    return Record([_ports(config), *inside])


def engine_fields(config: EngineConfig, *, registers: bool = True) -> tuple[Field, ...]:
    """The fields of :func:`engine_record`."""
    return engine_record(config, registers=registers).fields


def pe_words(config: EngineConfig) -> slice:
    """The words of a record with ``registers`` that hold the PEs: as many for each, row by row."""
    start = record_words([*_ports(config).fields()])
    each = record_words([*Group(_pes(config).entries).fields()])
    return slice(start, start + config.rows * config.cols * each)
