"""The readers of the cycle model: a pattern walked between a read port of SBUF and whoever uses its elements."""

from arch.core.instructions import ADDRESS_BITS
from golden.kernels import borrowing_kernel

__all__ = ["MOVING", "SCALAR_X", "STATIONARY", "VECTOR_T", "VECTOR_X", "ask", "clock_readers", "decide_readers"]

#: By read port.
MOVING, STATIONARY, VECTOR_X, VECTOR_T, SCALAR_X = range(5)
#: Addresses are counted modulo twice what an instruction can name.
_ADDRESS = (1 << ADDRESS_BITS + 1) - 1


@borrowing_kernel
def ask(readers, reads):
    """Ask the ports for what the readers need in this cycle."""
    for index in range(readers.size):
        reader, port = readers[index], reads[index]
        row = reader.address >> 2
        needs = reader.active and not (reader.tagged and reader.tag == row)
        port.valid = needs and (not reader.full or reader.ready)
        port.row = row if port.valid else 0


@borrowing_kernel
def decide_readers(readers, reads, patterns):
    """Who steps, and whose pattern is taken, given the grants."""
    for index in range(readers.size):
        reader, pattern = readers[index], patterns[index]
        needs = reader.active and not (reader.tagged and reader.tag == reader.address >> 2)
        room = not reader.full or reader.ready
        reader.step = reader.active and room and (reads[index].grant or not needs)
        pattern.taken = pattern.valid and (not reader.active or (reader.step and _is_last(reader)))


@borrowing_kernel
def _is_last(reader):
    """Of the pattern's elements, the one that is walked to."""
    return reader.i0 + 1 == reader.count0 and reader.i1 + 1 == reader.count1 and reader.i2 + 1 == reader.count2


@borrowing_kernel
def _move_on(reader):
    """To the pattern's next element."""
    reader.i0 += 1
    if reader.i0 == reader.count0:
        reader.i0 = 0
        reader.i1 += 1
        if reader.i1 == reader.count1:
            reader.i1 = 0
            reader.i2 += 1
    offset = reader.i2 * reader.stride2 + reader.i1 * reader.stride1 + reader.i0 * reader.stride0
    reader.address = (reader.base + offset) & _ADDRESS


@borrowing_kernel
def clock_readers(readers, reads, patterns, held, read_data):
    """At the edge, before SBUF's ports have new data."""
    for index in range(readers.size):
        reader, pattern = readers[index], patterns[index]
        if reader.fresh:
            for lane in range(held.shape[1]):
                held[index, lane] = read_data[index, lane]
        reader.fresh = 0
        if reader.step:
            last = _is_last(reader)
            reader.full = 1
            reader.fresh = reads[index].grant
            reader.offset = reader.address & 3
            reader.last = last
            reader.element_bytes = reader.bytes
            if reads[index].grant:
                reader.tagged = 1
                reader.tag = reader.address >> 2
            if last:
                reader.active = 0
            else:
                _move_on(reader)
        elif reader.ready:
            reader.full = 0
        if pattern.taken:
            reader.active = 1
            reader.i0 = reader.i1 = reader.i2 = 0
            reader.base = reader.address = pattern.address & _ADDRESS
            reader.count0, reader.count1, reader.count2 = pattern.count0, pattern.count1, pattern.count2
            reader.stride0, reader.stride1, reader.stride2 = pattern.stride0, pattern.stride1, pattern.stride2
            reader.bytes = pattern.bytes
            reader.number = pattern.number
            reader.tagged = 0
        pattern.valid = 0
