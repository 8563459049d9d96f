"""Which part of a matrix product a signal of the engine works on: pass, m, n, k."""

from collections.abc import Callable

import numpy as np

from golden.tensor.positions import position_at
from golden.tensor.schedule import Pass
from verif.simulation.window import Moment, Window
from verif.tensor.workload.program import passes_of

__all__ = [
    "moved",
    "of_column",
    "of_north",
    "of_pe",
    "of_read",
    "of_read_request",
    "of_result",
    "of_waiting_row",
    "of_weight",
    "of_west",
    "taken",
]


def moved(window: Window, cycle: int, back: int) -> int:
    """The last cycle before this one in which the read-out moved, or so many such cycles further back.

    Before the window's first cycle if that is not in the window.
    """
    for at in range(cycle - 1, window.start - 1, -1):
        if not window.port(at, "o_result__valid") or window.port(at, "o_result__ready"):
            if not back:
                return at
            back -= 1
    return window.start - 2


def taken(cycles: np.ndarray, cycle: int) -> int | None:
    """The number of the beat taken in a cycle; None if none was."""
    at = int(np.searchsorted(cycles, cycle))
    return at if at < len(cycles) and cycles[at] == cycle else None


def _passes(window: Window) -> tuple[list[Pass], int]:
    """All passes since reset, and the number of the first of the GEMM in hand."""
    by_job = passes_of(window.jobs, window.unit.config)
    return [p for passes in by_job for p in passes], sum(len(passes) for passes in by_job[: window.job])


def _span(name: str, first: int, count: int) -> str:
    return f"{name} = {first}" if count == 1 else f"{name} = {first}..{first + count - 1}"


def of_pe(at: Moment) -> str:
    """An activation, the weight it meets, their product, or the sum."""
    passes, first_pass = _passes(at.window)
    # A weight in use belongs to the term of the activation it meets.
    register = "beat" if at.field.name == "active" else at.field.name
    rows = at.window.events["i_activation"]
    found = position_at(at.config, passes, rows, at.cycle, at.row, at.col, register=register)
    return f"pass {found.index - first_pass}, m = {found.m}, n = {found.n}, k = {found.k}" if found else ""


def _weights(window: Window, cycle: int, col: int, row: int | None = None) -> str:
    """A beat of weights, or what the array's ``row`` loads of it."""
    beat = taken(window.events["i_weight"], cycle)
    if beat is None:
        return ""
    config, (passes, first_pass) = window.unit.config, _passes(window)
    ends = np.cumsum([config.load_cycles(p.tile_k) for p in passes])
    index = int(np.searchsorted(ends, beat, side="right"))
    p = passes[index]
    first = (beat - int(ends[index]) + config.load_cycles(p.tile_k)) * config.rows_per_load_cycle
    rows = _span("k", p.k0 + first, min(config.rows_per_load_cycle, p.tile_k - first))
    if row is not None and first <= row < min(first + config.rows_per_load_cycle, p.tile_k):
        rows = _span("k", p.k0 + row, 1)
    n = f"n = {p.n0 + col}" if col < p.tile_n else "a column not in use"
    return f"pass {index - first_pass}, weight row {rows}, {n}"


def of_weight(at: Moment) -> str:
    """A weight on its way south, or in the shadow plane."""
    # A weight takes as long as a partial sum from row to row; its register is the end of that way.
    late = at.config.add_latency if at.field.name == "weight" else 1
    entered = at.cycle - late - at.row * at.config.add_latency - at.col
    return _weights(at.window, entered, at.col, at.row if at.field.name == "shadow" else None)


def of_north(at: Moment) -> str:
    """A weight that enters."""
    return _weights(at.window, at.cycle - at.col, at.col)


def _rows(window: Window, beat: int | None, col: int | None = None) -> str:
    """A whole row of a pass, or a column of it, by the number of the activation row."""
    if beat is None:
        return ""
    passes, first_pass = _passes(window)
    ends = np.cumsum([p.tile_m for p in passes])
    index = int(np.searchsorted(ends, beat, side="right"))
    p = passes[index]
    m = p.m0 + beat - int(ends[index]) + p.tile_m
    columns = _span("n", p.n0, p.tile_n) if col is None else f"n = {p.n0 + col}"
    if col is not None and col >= p.tile_n:
        columns = "a column not in use"
    return f"pass {index - first_pass}, m = {m}, {columns}, {_span('k', p.k0, p.tile_k)}"


def of_west(at: Moment) -> str:
    """An activation that enters, or the weight row beside it."""
    entered = at.cycle - at.row * at.config.add_latency
    beat = taken(at.window.events["i_activation"], entered)
    return _rows(at.window, beat) or _weights(at.window, entered, 0).partition(", n =")[0]


def of_waiting_row(at: Moment) -> str:
    """The activation row that waits."""
    passes, _ = _passes(at.window)
    beat = int(np.searchsorted(at.window.events["i_activation"], at.cycle))
    return _rows(at.window, beat if beat < sum(p.tile_m for p in passes) else None)


def of_column(late: Callable[[Moment], int]) -> Callable[[Moment], str]:
    """What follows an activation row by so many cycles, and by one more from column to column."""

    def term(at: Moment) -> str:
        entered = at.cycle - late(at) - (at.col or 0)
        return _rows(at.window, taken(at.window.events["i_activation"], entered), at.col)

    return term


def _result(window: Window, number: int) -> str:
    """The row that is read out or given as that number since reset."""
    passes, first_pass = _passes(window)
    for index, p in enumerate(passes):
        if p.last:
            if number < p.tile_m:
                columns, terms = _span("n", p.n0, p.tile_n), _span("k", 0, p.k0 + p.tile_k)
                return f"result row of pass {index - first_pass}: m = {p.m0 + number}, {columns}, sum over {terms}"
            number -= p.tile_m
    return ""


def of_result(at: Moment) -> str:
    """A row on the result port."""
    return _result(at.window, int(np.searchsorted(at.window.events["o_result"], at.cycle)))


def of_read_request(at: Moment) -> str:
    """A row that is read out."""
    return _result(at.window, int(np.searchsorted(at.window.events["read_request"], at.cycle)))


def of_read(at: Moment) -> str:
    """The same in a column."""
    request = moved(at.window, at.cycle, at.col)
    return _result(at.window, int(np.searchsorted(at.window.events["read_request"], request)))
