"""The vector engine: two operations on each element, a mask, a reduction."""

from amaranth.hdl import Module, Signal, Value

from arch.core.instructions import COUNT_BITS
from hw.core.lane_engine import LaneEngine
from hw.core.vector_lane import VectorLane

__all__ = ["VectorEngine"]


class VectorEngine(LaneEngine):
    """See :class:`LaneEngine`; elements are masked by their place in dimension 0."""

    module_name = "vector_engine"
    lane = VectorLane

    def keeps(self, m: Module) -> list[Value]:
        """By the mask: dimension 0's index against a limit of each lane."""
        instruction = self.instruction
        width = COUNT_BITS + 4
        index = self.out.index0
        keeps = []
        for number in range(self.config.lanes):
            limit = Signal(range(-(1 << width), 1 << width), name=f"limit_{number}")
            base, step = instruction.mask_base.as_signed(), instruction.mask_lane.as_signed()
            keep = Signal(name=f"keep_{number}")
            # It has settled long before the first element is about to be written.
            m.d.sync += limit.eq(base + step * number)
            m.d.comb += keep.eq(
                self.is_choice("mask", "none")
                | (self.is_choice("mask", "at_most") & (index <= limit))
                | (self.is_choice("mask", "at_least") & (index >= limit))
                | (self.is_choice("mask", "equal") & (index == limit))
            )
            keeps.append(keep)
        return keeps
