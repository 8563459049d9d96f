"""Which part of a matrix product a field of an engine's record works on: pass, m, n, k."""

import numpy as np

from arch.record import Field
from golden.tensor.engine import explain
from golden.tensor.schedule import Pass
from verif.tensor.window import Window

__all__ = ["taken", "term"]


def _row(window: Window, beat: int) -> tuple[int, Pass, int]:
    """Of the activation row of that number: the pass's index, the pass, and m."""
    ends = np.cumsum([p.tile_m for p in window.passes])
    index = int(np.searchsorted(ends, beat, side="right"))
    p = window.passes[index]
    return index, p, p.m0 + beat - int(ends[index]) + p.tile_m


def taken(cycles: np.ndarray, cycle: int) -> int | None:
    """The number of the beat taken in a cycle; None if none was."""
    at = int(np.searchsorted(cycles, cycle))
    return at if at < len(cycles) and cycles[at] == cycle else None


def _span(name: str, first: int, count: int) -> str:
    return f"{name} = {first}" if count == 1 else f"{name} = {first}..{first + count - 1}"


def _weight_term(window: Window, cycle: int, col: int, first_pass: int, row: int | None = None) -> str:
    """A beat of weights, or what the array's ``row`` loads of it."""
    beat = taken(window.weights, cycle)
    if beat is None:
        return ""
    config = window.config
    ends = np.cumsum([config.load_cycles(p.tile_k) for p in window.passes])
    index = int(np.searchsorted(ends, beat, side="right"))
    p = window.passes[index]
    first = (beat - int(ends[index]) + config.load_cycles(p.tile_k)) * config.rows_per_load_cycle
    rows = _span("k", p.k0 + first, min(config.rows_per_load_cycle, p.tile_k - first))
    if row is not None and first <= row < min(first + config.rows_per_load_cycle, p.tile_k):
        rows = _span("k", p.k0 + row, 1)
    n = f"n = {p.n0 + col}" if col < p.tile_n else "a column not in use"
    return f"pass {index - first_pass}, weight row {rows}, {n}"


def _column_term(window: Window, beat: int | None, col: int | None, first_pass: int) -> str:
    """A whole row of a pass, or a column of it."""
    if beat is None:
        return ""
    index, p, m = _row(window, beat)
    columns = _span("n", p.n0, p.tile_n) if col is None else f"n = {p.n0 + col}"
    if col is not None and col >= p.tile_n:
        columns = "a column not in use"
    return f"pass {index - first_pass}, m = {m}, {columns}, {_span('k', p.k0, p.tile_k)}"


def _result_term(window: Window, number: int, first_pass: int) -> str:
    """The row that is read out or given as that number since reset."""
    for index, p in enumerate(window.passes):
        if p.last:
            if number < p.tile_m:
                columns, terms = _span("n", p.n0, p.tile_n), _span("k", 0, p.k0 + p.tile_k)
                return f"result row of pass {index - first_pass}: m = {p.m0 + number}, {columns}, sum over {terms}"
            number -= p.tile_m
    return ""


def term(window: Window, field: Field, cycle: int, first_pass: int) -> str:
    """Pass, m, n and k that a field works on; ``first_pass`` is the number of the GEMM's first since reset."""
    config, row, col = window.config, field.row, field.col
    if field.name in ("beat", "active", "product", "psum"):
        # A weight in use belongs to the term of the activation it meets.
        register = "beat" if field.name == "active" else field.name
        found = explain(config, window.passes, window.rows, cycle, row, col, register=register)
        return f"pass {found.index - first_pass}, m = {found.m}, n = {found.n}, k = {found.k}" if found else ""
    if field.name in ("weight", "shadow"):
        # A weight takes as long as a partial sum from row to row; its register is the end of that way.
        late = config.add_latency if field.name == "weight" else 1
        own = row if field.name == "shadow" else None
        return _weight_term(window, cycle - late - row * config.add_latency - col, col, first_pass, own)
    if field.name == "north":
        return _weight_term(window, cycle - col, col, first_pass)
    if field.name == "west":
        entered = cycle - row * config.add_latency
        load = _weight_term(window, entered, 0, first_pass).partition(", n =")[0]
        return _column_term(window, taken(window.rows, entered), None, first_pass) or load
    if field.name == "i_activation__ready":
        # The row that waits.
        beat = int(np.searchsorted(window.rows, cycle))
        waits = beat < sum(p.tile_m for p in window.passes)
        return _column_term(window, beat if waits else None, None, first_pass)
    if field.name.startswith("o_result"):
        return _result_term(window, int(np.searchsorted(window.results, cycle)), first_pass)
    if field.name in ("read", "read_request"):
        request = window.moved(cycle, col) if field.name == "read" else cycle
        return _result_term(window, int(np.searchsorted(window.reads, request)), first_pass)
    latencies = {
        "finish": 0,
        "seed_request": 1,
        "seed": config.product_latency + 1,
        "store": config.store_latency,
        "stored": config.store_latency + 1,
    }
    if field.name not in latencies:
        return ""
    return _column_term(window, taken(window.rows, cycle - latencies[field.name] - (col or 0)), col, first_pass)
