"""Instructions that wait for an engine, each with what must be complete before it starts."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from arch.core.config import CoreConfig
from arch.core.instructions import instruction_layout
from arch.core.layouts import NUMBER_BITS
from hw.lib.blocks import struct

__all__ = ["InstructionQueue"]


class InstructionQueue(wiring.Component):
    """First in, first out; the head may start when each queue has completed what the head waits for.

    Each entry counts, for each queue, the instructions that must still complete: it needs no numbers of instructions,
    which would come round in a long program, and an entry that waits for long misses none.

    Latency: 1 cycle from an instruction given to an empty queue to its start.
    Throughput: one instruction per cycle.

    Parameters
    ----------
    config : CoreConfig
    kind : str
        Which instructions.

    Members
    -------
    i_give, i_instruction, i_number, i_remaining
        An instruction comes, only while ``o_level`` is below ``queue_depth``; its number in the program; for each queue
        what it waits for.
    i_completes : ``In(queues)``
        The queues that complete an instruction in this cycle.
    o_level
        Instructions that wait.
    o_start, o_instruction
        The head may start.
    i_take : ``In(1)``
        It does.
    o_number : ``Out(NUMBER_BITS)``
        Of the instruction that was taken last.
    """

    module_name = "instruction_queue"

    def __init__(self, config: CoreConfig, kind: str):
        self.config, self.kind = config, kind
        layout = struct(instruction_layout(kind))
        super().__init__(
            {
                "i_give": In(1),
                "i_instruction": In(layout),
                "i_number": In(NUMBER_BITS),
                "i_remaining": In(config.outstanding_bits).array(len(config.queues)),
                "i_completes": In(len(config.queues)),
                "o_level": Out(range(config.queue_depth + 1)),
                "o_start": Out(1),
                "o_instruction": Out(layout),
                "i_take": In(1),
                "o_number": Out(NUMBER_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        depth = self.config.queue_depth
        width = instruction_layout(self.kind).width + NUMBER_BITS
        entries = [Signal(width, name=f"entry_{index}", reset_less=True) for index in range(depth)]
        free, head = Signal(range(depth + 1)), Signal(NUMBER_BITS)
        m.d.comb += [free.eq(self.o_level - self.i_take), Cat(self.o_instruction, head).eq(entries[0])]
        m.d.sync += self.o_level.eq(free + self.i_give)
        for index, (entry, behind) in enumerate(pairwise([*entries, entries[-1]])):
            with m.If(self.i_give & (free == index)):
                m.d.sync += entry.eq(Cat(self.i_instruction, self.i_number))
            with m.Elif(self.i_take):
                m.d.sync += entry.eq(behind)
        with m.If(self.i_take):
            m.d.sync += self.o_number.eq(head)
        heads = [self._waits(m, queue, free) for queue in range(len(self.config.queues))]
        ready = Signal()
        m.d.comb += ready.eq(1)
        for head in heads:
            with m.If(head != 0):
                m.d.comb += ready.eq(0)
        m.d.comb += self.o_start.eq((self.o_level != 0) & ready)
        return m

    def _waits(self, m: Module, queue: int, free: Signal) -> Signal:
        """What each entry waits for of one queue; returns the head's."""
        depth, bits = self.config.queue_depth, self.config.outstanding_bits
        counts = [Signal(bits, name=f"remaining_{queue}_{index}") for index in range(depth)]
        after = [Signal(bits, name=f"after_{queue}_{index}") for index in range(depth)]
        for count, less in zip(counts, after, strict=True):
            m.d.comb += less.eq(count - (self.i_completes[queue] & (count != 0)))
        for index, (less, behind) in enumerate(pairwise([*after, after[-1]])):
            given = self.i_give & (free == index)
            m.d.sync += counts[index].eq(Mux(given, self.i_remaining[queue], Mux(self.i_take, behind, less)))
        return counts[0]
