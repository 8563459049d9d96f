"""An access pattern being walked: three loops, an address, no multiplication."""

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data

from arch.core.instructions import ADDRESS_BITS, COUNT_BITS

__all__ = ["DIMENSIONS", "WALK_BITS", "Walk", "pattern_shape", "set_pattern"]

DIMENSIONS = 3
#: Of an address on a walk: of twice as many bytes as instructions can name, so that one outside of them is seen.
WALK_BITS = ADDRESS_BITS + 1


def pattern_shape() -> data.StructLayout:
    """A byte address in the lane, and for each dimension, the innermost first, stride in bytes and count."""
    strides = {f"stride{dim}": signed(ADDRESS_BITS) for dim in range(DIMENSIONS)}
    counts = {f"count{dim}": COUNT_BITS for dim in range(DIMENSIONS)}
    return data.StructLayout({"address": WALK_BITS, **strides, **counts})


def set_pattern(pattern: data.View, address: Value, strides: Sequence = (), counts: Sequence = ()) -> list:
    """The assignments that make a pattern; dimensions not given have one element."""
    strides = (*strides, *(0,) * (DIMENSIONS - len(strides)))
    counts = (*counts, *(1,) * (DIMENSIONS - len(counts)))
    return [
        pattern.address.eq(address),
        *(pattern[f"stride{dim}"].eq(stride) for dim, stride in enumerate(strides)),
        *(pattern[f"count{dim}"].eq(count) for dim, count in enumerate(counts)),
    ]


class Walk:
    """Registers and logic, within a component, that go over the elements of a pattern.

    Members
    -------
    address : Signal
        Of the element at hand, modulo ``2**WALK_BITS``.
    index0 : Signal
        Its index in the innermost dimension.
    last : Value
        It is the pattern's last.
    """

    def __init__(self, m: Module, name: str):
        self._m = m
        self.address = Signal(WALK_BITS, name=f"{name}_address")
        self.index0 = Signal(COUNT_BITS, name=f"{name}_index0")
        self._strides = [Signal(signed(ADDRESS_BITS), name=f"{name}_stride{dim}") for dim in range(DIMENSIONS)]
        self._most = [Signal(COUNT_BITS, name=f"{name}_most{dim}") for dim in range(DIMENSIONS)]
        # Elements left in each dimension after the one at hand, and where its row and its plane begin.
        self._left = [Signal(COUNT_BITS, name=f"{name}_left{dim}") for dim in range(DIMENSIONS)]
        self._starts = [Signal(WALK_BITS, name=f"{name}_start{dim}") for dim in range(1, DIMENSIONS)]
        ends = [left == 0 for left in self._left]
        self.last: Value = ends[0] & ends[1] & ends[2]
        self._ends = ends

    def load(self, pattern: data.View) -> list:
        """The assignments, for the sync domain, that start a pattern."""
        most = [(pattern[f"count{dim}"] - 1)[:COUNT_BITS] for dim in range(DIMENSIONS)]
        return [
            self.address.eq(pattern.address),
            self.index0.eq(0),
            *(start.eq(pattern.address) for start in self._starts),
            *(stride.eq(pattern[f"stride{dim}"]) for dim, stride in enumerate(self._strides)),
            *(signal.eq(value) for dim, value in enumerate(most) for signal in (self._most[dim], self._left[dim])),
        ]

    def step(self) -> list:
        """The assignments, for the sync domain, that go on to the next element."""
        row, plane = self._ends[0], self._ends[0] & self._ends[1]
        base = Mux(plane, self._starts[1], Mux(row, self._starts[0], self.address))
        stride = Mux(plane, self._strides[2], Mux(row, self._strides[1], self._strides[0]))
        following = Signal(WALK_BITS, name=f"{self.address.name}_following")
        self._m.d.comb += following.eq(base + stride)
        return [
            self.address.eq(following),
            self.index0.eq(Mux(row, 0, self.index0 + 1)),
            self._starts[0].eq(Mux(row, following, self._starts[0])),
            self._starts[1].eq(Mux(plane, following, self._starts[1])),
            self._left[0].eq(Mux(row, self._most[0], self._left[0] - 1)),
            self._left[1].eq(Mux(plane, self._most[1], Mux(row, self._left[1] - 1, self._left[1]))),
            self._left[2].eq(Mux(plane, self._left[2] - 1, self._left[2])),
        ]
