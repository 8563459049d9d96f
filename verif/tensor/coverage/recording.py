"""What crossed the ports in a run, gathered from the pieces of its golden trace."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from arch.layout import Layout
from arch.record import Entry, Group, Record
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import command_layout, pe_layouts
from arch.tensor.signals import engine_record, pe_words
from golden.numerics.conversions import code_dtype

__all__ = ["STREAMS", "Recorder", "Recording", "register_words", "unpack"]

STREAMS = ("i_command", "i_weight", "i_activation", "o_result")


def unpack(words: np.ndarray, layout: Layout, name: str) -> np.ndarray:
    """int64[...]: a field of at most 62 bits out of packed words, uint32[..., words]."""
    first, width = layout.offset(name), layout.fields[name]
    value = np.zeros(words.shape[:-1], np.int64)
    for word in range(first // 32, -(-(first + width) // 32)):
        part, at = words[..., word].astype(np.int64), 32 * word - first
        value |= part << at if at >= 0 else part >> -at
    return value & (1 << width) - 1


def register_words(config: EngineConfig) -> dict[str, slice]:
    """Where each register is among the words of a PE."""
    registers = Record([Group([Entry(*item) for item in pe_layouts(config).items()])])
    return {name: registers.at(name) for name in registers.layouts}


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """The ports of one run, cycle by cycle, and what was taken.

    Parameters
    ----------
    valid, ready : dict of str to bool[cycles]
        Of every stream.
    commands : dict of str to int64[passes]
        Fields of the commands taken.
    weights : uint8 or uint16[beats, rows_per_load_cycle * C]
    activations : uint8 or uint16[rows, R]
        Codes of the beats taken.
    results : uint32[rows, C]
        Codes of the rows that left.
    south : uint32[cycles, C, words]
        The psum registers of the last row of PEs.
    """

    config: EngineConfig
    valid: dict[str, np.ndarray]
    ready: dict[str, np.ndarray]
    commands: dict[str, np.ndarray]
    weights: np.ndarray
    activations: np.ndarray
    results: np.ndarray
    south: np.ndarray

    def taken(self, stream: str) -> np.ndarray:
        """int64[transfers]: the cycles in which something was transferred."""
        return np.flatnonzero(self.valid[stream] & self.ready[stream])

    @cached_property
    def row_ends(self) -> np.ndarray:
        """int64[passes]: activation rows up to and including each pass."""
        return np.cumsum(self.commands["tile_m"])

    @cached_property
    def weight_ends(self) -> np.ndarray:
        """int64[passes]: weight beats up to and including each pass."""
        return np.cumsum(-(-self.commands["tile_k"] // self.config.rows_per_load_cycle))

    @cached_property
    def row_pass(self) -> np.ndarray:
        """int64[rows]: the pass of every activation row taken."""
        return np.searchsorted(self.row_ends, np.arange(len(self.activations)), "right")

    @cached_property
    def row_address(self) -> np.ndarray:
        """int64[rows]: the PSUM row of every activation row taken."""
        index = np.arange(len(self.activations)) - (self.row_ends - self.commands["tile_m"])[self.row_pass]
        return (self.commands["base"][self.row_pass] + index) % self.config.psum_depth

    @cached_property
    def sums(self) -> np.ndarray:
        """uint32[rows, C, words]: the sums that left the array for every activation row taken."""
        cycles = self.taken("i_activation")[:, None] + self.config.store_latency + np.arange(self.config.cols)
        return self.south[cycles, np.arange(self.config.cols)]


class Recorder:
    """Collects a :class:`Recording` from pieces of a trace with PE registers."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        record = engine_record(config, registers=False)
        self._at = {f.name: record.at(f.name) for f in record.fields}
        self._pe_words, self._psum = pe_words(config), register_words(config)["psum"]
        names = ("valid", "ready", *STREAMS, "south")
        self._pieces: dict[str, list[np.ndarray]] = {name: [] for name in names}

    def see(self, trace: np.ndarray) -> None:
        """Take what is needed from the next cycles."""
        pieces = self._pieces
        for part in ("valid", "ready"):
            columns = [self._at[f"{stream}__{part}"].start for stream in STREAMS]
            pieces[part].append(trace[:, columns].astype(bool))
        taken = pieces["valid"][-1] & pieces["ready"][-1]
        for index, stream in enumerate(STREAMS):
            pieces[stream].append(trace[taken[:, index], self._at[f"{stream}__payload"]])
        pes = trace[:, self._pe_words].reshape(len(trace), self.config.rows, self.config.cols, -1)
        pieces["south"].append(pes[:, -1, :, self._psum].copy())

    def recording(self) -> Recording:
        """Everything seen so far."""
        config = self.config
        joined = {name: np.concatenate(pieces) for name, pieces in self._pieces.items()}
        lane = code_dtype(config.lane_format).newbyteorder("<")
        layout = command_layout(config)
        codes = {name: np.ascontiguousarray(joined[name]).view(lane) for name in ("i_weight", "i_activation")}
        return Recording(
            config=config,
            valid={stream: joined["valid"][:, i] for i, stream in enumerate(STREAMS)},
            ready={stream: joined["ready"][:, i] for i, stream in enumerate(STREAMS)},
            commands={name: unpack(joined["i_command"], layout, name) for name in layout.fields},
            weights=codes["i_weight"][:, : config.rows_per_load_cycle * config.cols],
            activations=codes["i_activation"][:, : config.rows],
            results=joined["o_result"][:, : config.cols],
            south=joined["south"],
        )
