"""Properties of the sequencer: passes, PSUM hazards, the ring of PSUM rows."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import command_layout, psum_layout, result_layout
from hw.lib.joining import join_modules
from hw.tensor.readout import Readout
from hw.tensor.sequencer import Sequencer
from verif.modules import plain_modules
from verif.proofs.prover import Property
from verif.proofs.texts import with_parameters
from verif.tensor.proofs.arithmetic import specification
from verif.tensor.proofs.pass_model import PEEKS, signals

__all__ = ["sequencer_properties"]

#: Small; commands still have every field. Some tiles fill their last beat of weights in part.
CONFIG = EngineConfig(rows=2, cols=2, formats=("e4m3",), accumulation="exact", psum_depth=16)
TOGETHER = replace(CONFIG, rows=3, rows_per_load_cycle=2)


def _property(
    name: str,
    config: EngineConfig,
    claim: str,
    *,
    text: str,
    device: Callable[[], str] | None = None,
    freed: str = "assume",
    peeks: Mapping[str, str] | None = None,
    **parameters: int,
) -> Property:
    """The property that a file beside this one states, with the sequencer beside the model of passes."""
    harness = with_parameters(specification(text), COMMAND=command_layout(config).width, **parameters)
    return Property(
        name=name,
        claim=claim,
        device=device or (lambda: join_modules(plain_modules(Sequencer(config)))),
        harness=specification("passes") + harness.replace('`include "signals"', signals(config, freed)),
        engine="induction",
        depth=20,
        peeks=PEEKS | (peeks or {}),
        quick=True,
    )


def _passes(config: EngineConfig, name: str = "sequencer-passes") -> Property:
    return _property(
        name,
        config,
        "every pass once, in order, with tile_k weight rows and tile_m activation rows; ready as documented",
        text="sequencer_passes",
        ADDRESS=config.address_bits,
        COLUMNS=config.cols.bit_length(),
        STORED=config.store_latency,
        FINISHED=config.read_latency - 1,
    )


def _seeds(config: EngineConfig) -> Property:
    return _property(
        "sequencer-seeds",
        config,
        "no PSUM row is read as a seed before the pass before it has stored it",
        text="sequencer_seeds",
        ADDRESS=config.address_bits,
        COLUMNS=config.cols.bit_length(),
        HAZARD=config.store_latency,
    )


def _ring(config: EngineConfig) -> Property:
    def device() -> str:
        modules = plain_modules(Sequencer(config)) | plain_modules(Readout(config))
        # The harness has a rounder of its own.
        return join_modules({name: text for name, text in modules.items() if name not in ("rounder", "narrower")})

    return _property(
        "sequencer-ring",
        config,
        "no PSUM row is given to a tile before all columns read it out, or read out of a column before its store",
        text="sequencer_ring",
        device=device,
        freed="assert",
        peeks={name: f"readout.{name.removeprefix('r_')}" for name in ("r_rows_ready", "r_stages", "r_row_waits")},
        PSUM=psum_layout(config).width,
        RESULT=result_layout(config).width,
        DEPTH=config.psum_depth,
        COLS=config.cols,
        STORED=config.store_latency,
        DUE=config.read_latency,
        STAGES=config.readout_latency + config.cols - 2,
    )


def sequencer_properties() -> Iterator[Property]:
    """In small configurations."""
    yield _passes(CONFIG)
    yield _passes(TOGETHER, "sequencer-passes-together")
    yield _seeds(CONFIG)
    yield _ring(CONFIG)
