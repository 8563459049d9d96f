"""A session: random traffic, resets in mid-run, and traffic again."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from arch.record import Record
from arch.tensor.config import EngineConfig
from arch.tensor.signals import engine_record
from golden.tensor.engine import TensorEngine
from verif.tensor.workload.traffic import FOREVER, Traffic

__all__ = ["Stretch", "session"]


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Traffic between two resets.

    Parameters
    ----------
    groups : int
        Of tiles.
    ring : bool
        A tile of as many rows as PSUM has comes first.
    most : int or None
        Rows of a group's tiles together, at most.
    idle, stall : float
        As for ``TensorEngine.run``.
    held : int
        So many cycles in which no result is taken come first.
    cut : int or None
        Ends after so many cycles, whatever is under way. None: at the end, and results are checked.
    reset : int
        Cycles of the reset behind it, in which beats are offered. The stretch's last cycle is the first of them, unless
        the session is masked.
    """

    groups: int
    ring: bool = False
    most: int | None = None
    idle: float = 0.0
    stall: float = 0.0
    held: int = 0
    cut: int | None = None
    reset: int = 1


def session(
    config: EngineConfig,
    rng: np.random.Generator,
    stretches: Iterable[Stretch],
    *,
    registers: bool = True,
    masked: bool = False,
) -> Iterator[np.ndarray]:
    """Records of one stretch after another, a reset behind each; the first word of a record is ``RESET``.

    ``masked``: nothing is transferred in a reset, and every handshake that the engine gives is low.
    """
    model = TensorEngine(config, registers=registers)
    for stretch in stretches:
        traffic = Traffic(config, rng)
        if stretch.ring:
            traffic.group([config.psum_depth], steps=1)
        traffic.groups(stretch.groups, stretch.most)
        pace = {"seed": int(rng.integers(1 << 31)), "idle": stretch.idle}
        end = FOREVER if stretch.cut is None else stretch.cut
        model.offer(*traffic.beats())
        held = model.run(min(stretch.held, end), stall=1.0, **pace)
        rest = model.run(end - len(held), until_done=True, stall=stretch.stall, **pace)
        if stretch.cut is None:
            traffic.check(model)
        if masked:
            yield _with_reset(np.concatenate([held, rest]), last=0)
            model.withdraw()
            for _ in range(stretch.reset):
                yield _with_reset(_masked(model.run(1, stall=1.0), engine_record(config, registers=registers), rng))
                model.reset()
            continue
        yield _with_reset(np.concatenate([held, rest]))
        for _ in range(stretch.reset - 1):
            # Nothing of what is offered gets in.
            model.reset()
            model.offer(*traffic.beats())
            yield _with_reset(model.run(1, stall=stretch.stall, **pace))
        model.reset()


def _masked(trace: np.ndarray, record: Record, rng: np.random.Generator) -> np.ndarray:
    """What an idle engine shows, with anything at its inputs and no handshake of its own."""
    for field in record.fields:
        words = trace[:, record.at(field.name, field.row, field.col)]
        if field.drive:
            words[:] = rng.integers(0, 1 << 32, words.shape, dtype=np.uint32)
            words[:, -1] &= (1 << (field.width - 1) % 32 + 1) - 1
        elif field.name.endswith(("__ready", "__valid")):
            words[:] = 0
    return trace


def _with_reset(trace: np.ndarray, last: int = 1) -> np.ndarray:
    """The records with ``RESET`` before them, which is low but in the last."""
    reset = np.zeros((len(trace), 1), np.uint32)
    reset[-1] = last
    return np.concatenate([reset, trace], axis=1)
