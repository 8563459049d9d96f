"""Properties of the read-out by itself: rows leave as they were ordered to."""

from collections.abc import Iterator
from dataclasses import replace

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import psum_layout, readout_layout, result_layout
from hw.arithmetic.rounder import narrow_stages, round_stages
from hw.lib.joining import join_modules
from hw.tensor.readout import Readout
from verif.modules import plain_modules
from verif.proofs.prover import Property
from verif.proofs.texts import with_parameters
from verif.tensor.proofs.arithmetic import specification
from verif.tensor.proofs.sequencer import CONFIG

__all__ = ["readout_device", "readout_properties"]


def readout_device(config: EngineConfig) -> dict[str, str]:
    """The modules of the read-out but for those that round: the harness has one of its own."""
    modules = plain_modules(Readout(config))
    return {name: text for name, text in modules.items() if name not in ("rounder", "narrower")}


def _order(name: str, config: EngineConfig) -> Property:
    order = readout_layout(config)
    pipe = round_stages(config) + narrow_stages(config)
    words = [f"d_{row}" for row in range(config.psum_depth)]
    rows = [f"r_row_{index}" for index in range(pipe + config.cols - 1)]
    used = [f"r_in_use_{col}" for col in range(config.cols)]
    registers = f"""\
  wire [{order.width - 1}:0] {", ".join([*words, *rows])};
  wire {", ".join(used)};
  wire [{order.width * len(words) - 1}:0] memory = {{{", ".join(reversed(words))}}};
  wire [{order.width * len(rows) - 1}:0] rows = {{{", ".join(reversed(rows))}}};
  wire [{len(used) - 1}:0] in_use = {{{", ".join(reversed(used))}}};
"""
    harness = with_parameters(
        specification("readout_order").replace('  `include "registers"\n', registers),
        PSUM=psum_layout(config).width,
        RESULT=result_layout(config).width,
        ORDER=order.width,
        COLUMNS=order.fields["columns"],
        DEPTH=config.psum_depth,
        COLS=config.cols,
        PIPE=pipe,
    )
    peeks = {word: f"readout.rows.words[{row}]" for row, word in enumerate(words)}
    peeks |= {register: f"readout.{register.removeprefix('r_')}" for register in (*rows, *used)}
    peeks |= {"r_row_waits": "readout.row_waits", "r_stages": "readout.stages"}
    return Property(
        name=name,
        claim="a row leaves with the last and the columns noted when it was taken, however many left before it",
        device=lambda: join_modules(readout_device(config)),
        harness=harness,
        engine="induction",
        depth=20,
        peeks=peeks | {"r_data": "readout.rows.reads__0__data"},
        quick=True,
    )


def readout_properties() -> Iterator[Property]:
    """With the shortest read-out and the longest."""
    yield _order("readout-order", CONFIG)
    yield _order("readout-order-long", replace(CONFIG, readout_latency=11))
