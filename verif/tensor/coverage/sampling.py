"""Counts the hits of one run from its golden trace, whole arrays at a time.

The trace is what the RTL is compared with in every cycle: what it shows happened in the RTL, if the replay passed.
"""

from collections.abc import Iterator

import numpy as np

from arch.tensor.config import EngineConfig
from arch.tensor.signals import pe_words
from verif.coverage.points import Hits
from verif.tensor.coverage import bins
from verif.tensor.coverage.arithmetic import PeSampler, code_classes, sample_results
from verif.tensor.coverage.bins import within
from verif.tensor.coverage.plan import plan
from verif.tensor.coverage.recording import STREAMS, Recorder, Recording

__all__ = ["Sampler"]


class Sampler:
    """Watches one run: give :meth:`see` to ``simulate(observe=)``, then ask for :meth:`hits`."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._hits = Hits(plan(config))
        self._recorder = Recorder(config)
        self._pes = PeSampler(config, self._hits)

    def see(self, trace: np.ndarray) -> None:
        """The next cycles."""
        self._recorder.see(trace)
        self._pes.see(trace[:, pe_words(self._recorder.config)])

    def hits(self) -> Hits:
        """The hits of the run, once it is over and has passed."""
        recording = self._recorder.recording()
        sample_operands(recording, self._hits)
        sample_results(recording, self._hits)
        sample_passes(recording, self._hits)
        sample_psum(recording, self._hits)
        sample_streams(recording, self._hits)
        return self._hits


def sample_operands(recording: Recording, hits: Hits) -> None:
    """Every activation of a pass meets every weight of its lane: multiply how often each class occurs in the lane."""
    config = recording.config
    commands = recording.commands
    by_select = {fmt.select: fmt for fmt in config.operand_formats}
    names = list(config.formats)
    kinds = np.arange(len(bins.SIGNED_CLASSES))
    for index, (row_end, weight_end) in enumerate(zip(recording.row_ends, recording.weight_ends, strict=True)):
        m, k, n = (int(commands[name][index]) for name in ("tile_m", "tile_k", "tile_n"))
        x_format, w_format = (by_select[int(commands[name][index])] for name in ("x_format", "w_format"))
        x = code_classes(recording.activations[row_end - m : row_end, :k], x_format)
        beats = recording.weights[weight_end - config.load_cycles(k) : weight_end]
        w = code_classes(beats.reshape(-1, config.cols)[:k, :n], w_format)
        x_counts = (x[:, :, None] == kinds).sum(axis=0)
        w_counts = (w[:, :, None] == kinds).sum(axis=1)
        pair = names.index(x_format.name) * len(names) + names.index(w_format.name)
        hits.add("operands", pair, kinds[:, None], kinds, times=x_counts.T @ w_counts)


def sample_passes(recording: Recording, hits: Hits) -> None:
    """Tiles, and how passes follow each other."""
    config, commands = recording.config, recording.commands
    heights = within(bins.heights(config), commands["tile_m"])
    lanes = within(bins.used(config.rows), commands["tile_k"])
    hits.add("tiles", heights, lanes, within(bins.used(config.cols), commands["tile_n"]))
    hits.add("steps of a tile", commands["first"], commands["last"])
    rows, weights = recording.taken("i_activation"), recording.taken("i_weight")
    gaps = within(bins.GAPS, np.diff(rows) - 1)
    begins = recording.row_ends[:-1]
    hits.add("swap", gaps[begins - 1], np.minimum(heights[:-1], len(bins.heights(config)) - 2))
    hits.add("bubbles in a pass", np.delete(gaps, begins - 1))
    swaps = rows[recording.row_ends - commands["tile_m"]]
    first, last = weights[recording.weight_ends[:-1]], weights[recording.weight_ends[1:] - 1]
    hits.add(
        "weights of the next pass",
        within(bins.AFTER_SWAP, first - swaps[:-1]),
        within(bins.BESIDES, last - rows[begins - 1]),
    )


def sample_psum(recording: Recording, hits: Hits) -> None:
    """Where sums were stored."""
    config, commands = recording.config, recording.commands
    in_use = np.arange(config.cols) < commands["tile_n"][recording.row_pass][:, None]
    columns = np.where(in_use, within(bins.ends(config.cols), np.arange(config.cols)), -1)
    hits.add("PSUM", columns, within(bins.ends(config.psum_depth), recording.row_address)[:, None])
    base, depth = commands["base"], config.psum_depth
    end = base + commands["tile_m"]
    # Nothing stands at the start of the ring once more before a pass has used another row.
    again = (base == 0) & (np.maximum.accumulate(end) > commands["tile_m"])
    for index, happened in enumerate((again, end == depth, end > depth)):
        hits.add("PSUM ring", index, times=happened.sum())


def runs(flags: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where uninterrupted runs of True begin, and how long they are."""
    edges = np.diff(np.concatenate([[0], flags.astype(np.int8), [0]]))
    begins = np.flatnonzero(edges == 1)
    return begins, np.flatnonzero(edges == -1) - begins


def sample_streams(recording: Recording, hits: Hits) -> None:
    """Stalls and idle cycles of every stream, and what held activation rows back."""
    for index, stream in enumerate(STREAMS):
        valid, ready = recording.valid[stream], recording.ready[stream]
        hits.add("stalls", index, within(bins.RUNS, runs(valid & ~ready)[1]))
        hits.add("idle", index, within(bins.RUNS, runs(~valid & ready)[1]))
    for index, waiting in enumerate(_waits(recording)):
        hits.add("waits", index, within(bins.RUNS, runs(waiting)[1]))


def _waits(recording: Recording) -> Iterator[np.ndarray]:
    """For each reason in ``WAITS``: the cycles in which it held an activation row back."""
    stalled = recording.valid["i_activation"] & ~recording.ready["i_activation"]
    rows, weights = recording.taken("i_activation"), recording.taken("i_weight")
    loaded = weights[recording.weight_ends - 1]
    ended = rows[recording.row_ends - 1]
    # A pass is handed to the executor when its weights are loaded and the pass before it ends.
    started = np.maximum(loaded, np.concatenate([[-1], ended[:-1]]))
    cycles = np.arange(len(stalled))
    index = np.searchsorted(started, cycles) - 1
    executing = (index >= 0) & (cycles <= ended[index])
    first = recording.commands["first"][index] == 1
    yield stalled & ~executing
    yield stalled & executing & ~first
    yield stalled & executing & first
