"""Whose bursts are under way, in the order in which memory answers them."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Owners"]


class Owners(wiring.Component):
    """A queue of small numbers, all of them registers: the oldest is seen in the cycle after it was put in.

    (A ``StreamQueue`` shows it two cycles after, and a burst may be answered before that.) A reset empties it.

    Parameters
    ----------
    width : int
        Bits of a number.
    depth : int
        Numbers that it holds.

    Members
    -------
    i_put, i_owner : ``In``
        Put a number in. Only while ``o_room``.
    i_drop : ``In(1)``
        Drop the oldest. Only while ``o_waits``.
    o_owner : ``Out(width)``
        The oldest.
    o_waits, o_room : ``Out(1)``
        There is one; there is room for another one, by what it holds before this cycle.
    """

    module_name = "owners"

    def __init__(self, width: int, depth: int):
        self.depth = depth
        super().__init__(
            {
                "i_put": In(1),
                "i_owner": In(width),
                "i_drop": In(1),
                "o_owner": Out(width),
                "o_waits": Out(1),
                "o_room": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        owners = [Signal.like(self.i_owner, name=f"owner_{place}") for place in range(self.depth)]
        level = Signal(range(self.depth + 1))
        # Where the new one goes, once the others have moved up.
        end = Signal.like(level)
        m.d.comb += [
            end.eq(level - self.i_drop),
            self.o_owner.eq(owners[0]),
            self.o_waits.eq(level.any()),
            self.o_room.eq(level < self.depth),
        ]
        m.d.sync += level.eq(level + self.i_put - self.i_drop)
        for place, owner in enumerate(owners):
            behind = owners[place + 1] if place + 1 < self.depth else owner
            m.d.sync += owner.eq(Mux(self.i_put & (end == place), self.i_owner, Mux(self.i_drop, behind, owner)))
        return m
