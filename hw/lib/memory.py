"""A synchronous memory that says what is read in the cycle of a write."""

from amaranth.hdl import Module
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["SyncMemory"]


class SyncMemory(wiring.Component):
    """Words with one write port and some read ports, all synchronous.

    A read in the cycle in which its word is written:
    - ``collision="old"``: gives the word as it was before, in simulation and in hardware.
    - ``collision="any"``: may give anything in hardware, and gives the word as it was before in simulation. Its user
      never uses such a word. That spares the logic that most block RAMs need for a rule of their own.

    A reset clears neither the memory nor what was read last. At first every word is zero; ``data`` is of no meaning
    until something was read.

    Latency: 1 cycle from ``en`` to ``data``, which holds until the next cycle with ``en``.
    Throughput: one write and one read of each port per cycle.

    Parameters
    ----------
    width, depth : int
        Bits of a word; words.
    reads : int
        Read ports.
    collision : str
        See above.
    granule : int or None
        Bits that are written together: each has an enable of its own. None: the word.

    Members
    -------
    write : ``In(Signature)``
        ``en`` (a bit for each granule, the lowest first), ``address``, ``data``.
    reads : ``In(Signature).array(reads)``
        ``en``, ``address``, and ``data`` as an output.
    """

    module_name = "memory"
    LATENCY = 1

    def __init__(self, width: int, depth: int, reads: int = 1, collision: str = "old", granule: int | None = None):
        for name, value in (("width", width), ("depth", depth), ("reads", reads)):
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"{name} must be an int, not {value!r}")
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if collision not in ("old", "any"):
            raise ValueError(f"collision must be old or any, not {collision!r}")
        if granule is not None and (granule < 1 or width % granule):
            raise ValueError(f"granule must divide the word's {width} bits, not {granule}")
        self.depth, self.collision, self.granule = depth, collision, granule
        # A memory of one word has an address too, of which nothing depends.
        address = range(max(2, depth))
        write = {"en": Out(width // (granule or width)), "address": Out(address), "data": Out(width)}
        read = {"en": Out(1), "address": Out(address), "data": In(width)}
        super().__init__({"write": In(wiring.Signature(write)), "reads": In(wiring.Signature(read)).array(reads)})

    @property
    def NO_RW_CHECK(self) -> bool:
        """Whether hardware may give anything in a collision."""
        return self.collision == "any"

    def elaborate(self, platform):
        m = Module()
        width = len(self.write.data)
        # Not `memory`, which a block around it may well call this one: Verilog would have one name hide the other.
        m.submodules.words = words = memory.Memory(shape=width, depth=self.depth, init=[])
        port = words.write_port(granularity=self.granule)
        m.d.comb += [port.en.eq(self.write.en), port.addr.eq(self.write.address), port.data.eq(self.write.data)]
        for read in self.reads:
            port = words.read_port()
            m.d.comb += [port.en.eq(read.en), port.addr.eq(read.address), read.data.eq(port.data)]
        return m
