"""What one record of a trace holds: the fields a simulation drives and compares in one clock cycle."""

from arch.record import Field, record_words
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import (
    activation_layout,
    beat_layout,
    command_layout,
    finish_layout,
    operand_layout,
    pe_registers,
    psum_layout,
    read_layout,
    readout_layout,
    result_layout,
    seed_layout,
    store_layout,
    weight_layout,
)

__all__ = ["engine_fields", "pe_words"]


def pe_words(config: EngineConfig) -> slice:
    """The words of a record with ``registers`` that hold the PEs: as many for each, row by row."""
    start = record_words(engine_fields(config, registers=False))
    each = record_words([Field(name, width) for name, width in pe_registers(config).items()])
    return slice(start, start + config.rows * config.cols * each)


def engine_fields(config: EngineConfig, *, registers: bool = True) -> tuple[Field, ...]:
    """The record of a tensor engine: inputs, outputs, then (with ``registers``) the PEs row by row, and what is around.

    Values are those during the cycle, just before the clock edge that ends it. A payload offered with
    ``valid`` 0 is 0.
    """
    fields = []
    for port, layout in (
        ("i_command", command_layout(config)),
        ("i_weight", weight_layout(config)),
        ("i_activation", activation_layout(config)),
    ):
        fields += [
            Field(f"{port}__valid", 1, drive=True),
            Field(f"{port}__payload", layout.width, drive=True),
        ]
    fields += [
        Field("o_result__ready", 1, drive=True),
        Field("i_command__ready", 1),
        Field("i_weight__ready", 1),
        Field("i_activation__ready", 1),
        Field("o_result__valid", 1),
        Field("o_result__payload", result_layout(config).width),
    ]
    if registers:
        for row in range(config.rows):
            for col in range(config.cols):
                fields += [Field(n, w, row=row, col=col) for n, w in pe_registers(config).items()]
        fields += _surroundings(config)
    return tuple(fields)


def _surroundings(config: EngineConfig) -> list[Field]:
    """What enters the array and what goes on at its PSUM, so that a fault there is seen when it happens.

    ``west``, ``north``: the beat and the weights on the way into PE(row, 0) and PE(0, col); an operand whose lane is
    not enabled is 0.
    ``seed_request``, then ``seed`` in the next cycle, 0 while no row is there to use it.
    ``store``, then ``stored`` in the next cycle: the word PSUM now holds at the address, stored there or not; 0
    without a row. ``read``: the word last read out.
    ``finish``: what is noted of the activation row of a last pass when it is taken; ``finishing``: the same as the
    read-out finds it, two advances after ``read_request``. Without ``valid`` all else is 0.
    """
    psum = psum_layout(config).width
    rows = [Field("west", beat_layout(config).width, row=row) for row in range(config.rows)]
    widths = {
        "north": config.rows_per_load_cycle * operand_layout(config).width,
        "seed_request": seed_layout(config).width,
        "seed": psum,
        "store": store_layout(config).width,
        "stored": psum,
    }
    cols = [Field(name, width, col=col) for col in range(config.cols) for name, width in widths.items()]
    reads = [Field("read", psum, col=col) for col in range(config.cols)]
    single = {"finish": finish_layout, "read_request": read_layout, "finishing": readout_layout}
    return [*rows, *cols, *reads, *(Field(name, layout(config).width) for name, layout in single.items())]
