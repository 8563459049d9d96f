"""The DMA queues of the cycle model: chunks asked for, filled and drained."""

import numpy as np

from arch.core.instructions import ADDRESS_BITS, INSTRUCTIONS
from arch.core.layouts import PORT_ROW_BITS
from golden.core.cycles import bursts
from golden.core.cycles.bursts import chunk_rows
from golden.kernels import borrowing_kernel

__all__ = [
    "ADDRESS",
    "ASKED",
    "INDEX",
    "SBUF",
    "ask_row",
    "asks",
    "clock_index",
    "clock_sink",
    "clock_source",
    "clock_stage",
    "decide_queue",
    "fill_beat",
    "offers_address",
    "start_queue",
]

_IDLE, INDEX, _MOVE = range(3)
#: Walkers.
ASKED, FILLED, ADDRESS, BEATS = range(4)
_FIELDS = {entry.name: entry for entry in INSTRUCTIONS["dma"]}
SBUF = _FIELDS["source_space"].names.index("sbuf")
#: Chunks that the buffer holds.
_HALVES = 2
#: Addresses of SBUF that a port can name, and the row that it names for any other.
_ADDRESSES, _NO_ROW = 1 << ADDRESS_BITS, (1 << PORT_ROW_BITS) - 1
_ERROR = _FIELDS["out_of_range"].names.index("error")


@borrowing_kernel
def asks(state, code):
    """Whether a burst is asked for."""
    return state.phase == _MOVE and code.source_space != SBUF and _may_ask(state)


@borrowing_kernel
def _may_ask(state):
    return state.asked < state.chunks and state.asked < state.drained + _HALVES


@borrowing_kernel
def offers_address(state, code, walker):
    """Whether a burst's address is offered."""
    return state.phase == _MOVE and code.sink_space != SBUF and walker.chunk < state.filled


@borrowing_kernel
def ask_row(state, code, port, h):
    """Ask for a row of a source in SBUF, from registers alone."""
    if state.phase == INDEX:
        port.valid = state.step == 0
        port.row = code.index_address >> 2 if port.valid else 0
        return
    port.valid = state.phase == _MOVE and code.source_space == SBUF and _may_ask(state)
    port.row = _row(code.source_address, code.source_stride, state, state.asked, state.ask_word, h) if port.valid else 0


@borrowing_kernel
def _row(address, stride, state, chunk, word, h):
    """A row of SBUF."""
    byte = address + chunk // state.row_chunks * stride + 4 * (h.chunk_words * (chunk % state.row_chunks) + word)
    return byte >> 2 if 0 <= byte < _ADDRESSES else np.int64(_NO_ROW)


@borrowing_kernel
def decide_queue(state, code, kept, taken, answered, may_start):
    """What the queue does in this cycle. ``taken``: what its write stage offers is; ``answered``: a burst of it is."""
    lane = state.step - 2
    state.bad_index = 0
    if state.phase == INDEX and 0 <= lane < code.lanes:
        state.bad_index = code.out_of_range == _ERROR and not kept[lane]
    state.start = state.phase == _IDLE and may_start
    state.leaves = taken
    free = not state.full or taken
    drained = state.phase == _MOVE and state.drained == state.chunks
    if code.sink_space == SBUF:
        state.drains = state.phase == _MOVE and free and state.drained < state.filled
        state.complete = drained and taken
    else:
        state.drains = free and state.open
        state.complete = drained and answered and state.unanswered == 1


@borrowing_kernel
def start_queue(state, code, rows, kept, walkers, h):
    """At the edge: an instruction has been taken."""
    state.phase = INDEX if code.indirect else _MOVE
    state.step = 0
    for lane in range(rows.size):
        rows[lane] = lane
        kept[lane] = 1
    state.words = ((code.count0 << code.size) + 3) // 4
    state.row_chunks = (state.words + h.chunk_words - 1) // h.chunk_words
    state.chunks = state.row_chunks * code.count1
    state.asked = state.filled = state.drained = 0
    state.ask_word = state.fill_word = state.drain_word = 0
    for index in range(walkers.size):
        walker = walkers[index]
        walker.chunk = walker.unit = walker.word = walker.beat = 0


@borrowing_kernel
def clock_index(state, code, rows, kept, data, port):
    """At the edge of a cycle of INDEX, before SBUF: indices are asked for, come, and are looked at one by one."""
    if port.fresh:
        for lane in range(code.lanes):
            index = np.int64(data[lane])
            kept[lane] = index < code.index_limit
            rows[lane] = index if kept[lane] else 0
    state.step += port.grant or state.step > 0
    if state.step == code.lanes + 4:
        state.phase = _MOVE


@borrowing_kernel
def _beat_bytes(burst, beat, h):
    """The bytes of a beat that belong to its burst, and where the beat begins."""
    base = (burst.first & -h.beat_bytes) + beat * h.beat_bytes
    return max(burst.first, base), min(burst.end, base + h.beat_bytes), base


@borrowing_kernel
def _place(side, code, chunk, walker, at):
    """Of byte ``at`` of a walker's unit: the lane, and the byte of its part of the chunk."""
    if not side.transposed:
        return walker.unit, at
    return at >> code.size, (walker.unit << code.size) + (at & (1 << code.size) - 1)


@borrowing_kernel
def fill_beat(state, code, rows, walkers, buffer, beat, last, h):
    """At the edge: a beat has come, ``buffer``: uint8[2, P, 4 C]."""
    side, walker = bursts.source(code), walkers[FILLED]
    burst = bursts.burst_at(side, state, code, rows, walker, h)
    first, end, base = _beat_bytes(burst, walker.beat, h)
    for address in range(first, end):
        lane, byte = _place(side, code, walker.chunk, walker, address - burst.unit)
        buffer[walker.chunk & 1, lane, byte] = beat[address - base]
    walker.beat += 1
    if last and bursts.next_burst(side, state, code, rows, walker, h):
        state.filled += 1


@borrowing_kernel
def _fill_row(state, code, words, data, h):
    """At the edge: a row of SBUF has come, ``words``: uint32[2, P, C]."""
    half = state.filled & 1
    for lane in range(code.lanes):
        words[half, lane, state.fill_word] = data[code.source_lane + lane]
    state.fill_word += 1
    if state.fill_word == chunk_rows(state, state.filled, h):
        state.fill_word = 0
        state.filled += 1


@borrowing_kernel
def _drain_row(state, code, kept, words, data, enable, h):
    """The write stage gets the next word of all lanes."""
    half, part = state.drained & 1, state.drained % state.row_chunks
    state.row = _row(code.sink_address, code.sink_stride, state, state.drained, state.drain_word, h)
    left = (code.count0 << code.size) - 4 * (h.chunk_words * part + state.drain_word)
    mask = np.int64(0xFFFFFFFF) >> 8 * max(0, 4 - left)
    data[:] = 0
    enable[:] = 0
    for lane in range(code.lanes):
        if kept[lane]:
            data[code.sink_lane + lane] = np.int64(words[half, lane, state.drain_word]) & mask
            enable[code.sink_lane + lane] = 15 >> max(0, 4 - left)
    state.drain_word += 1
    if state.drain_word == chunk_rows(state, state.drained, h):
        state.drain_word = 0
        state.drained += 1


@borrowing_kernel
def _drain_beat(state, code, rows, kept, walkers, buffer, beat, strobes, h):
    """The write stage gets the next beat of a burst."""
    side, walker = bursts.sink(code), walkers[BEATS]
    burst = bursts.burst_at(side, state, code, rows, walker, h)
    first, end, base = _beat_bytes(burst, walker.beat, h)
    # Of a unit's last word those bytes that there are.
    size = code.lanes << code.size
    if not side.transposed:
        size = (code.count0 << code.size) - 4 * h.chunk_words * (walker.chunk % state.row_chunks)
    beat[:] = 0
    strobes[:] = 0
    for address in range(first, min(end, burst.unit + size)):
        lane, byte = _place(side, code, walker.chunk, walker, address - burst.unit)
        if kept[lane]:
            beat[address - base] = buffer[walker.chunk & 1, lane, byte]
            strobes[address - base] = 1
    walker.beat += 1
    state.last = walker.beat == burst.beats
    if state.last:
        state.open -= 1
        if bursts.next_burst(side, state, code, rows, walker, h):
            state.drained += 1


@borrowing_kernel
def clock_source(state, code, rows, walkers, words, data, port, ar_taken, h):
    """At the edge, before SBUF: what is asked for; a row that has come. ``ar_taken``: a burst of this queue is."""
    if ar_taken:
        state.asked += bursts.next_burst(bursts.source(code), state, code, rows, walkers[ASKED], h)
    if port.fresh:
        _fill_row(state, code, words, data, h)
    if port.grant:
        state.ask_word += 1
        if state.ask_word == chunk_rows(state, state.asked, h):
            state.ask_word = 0
            state.asked += 1


@borrowing_kernel
def clock_stage(state, code, rows, kept, walkers, words, buffer, beat, strobes, data, enable, h):
    """The write stage at the edge, after SBUF."""
    if state.leaves:
        state.full = 0
    if state.drains:
        state.full = 1
        if code.sink_space == SBUF:
            _drain_row(state, code, kept, words, data, enable, h)
        else:
            _drain_beat(state, code, rows, kept, walkers, buffer, beat, strobes, h)


@borrowing_kernel
def clock_sink(state, code, rows, walkers, aw_taken, answered, h):
    """At the edge, after the write stage. ``aw_taken``, ``answered``: a burst of this queue is."""
    if aw_taken:
        bursts.next_burst(bursts.sink(code), state, code, rows, walkers[ADDRESS], h)
        state.open += 1
    state.unanswered += aw_taken - answered
    if state.complete:
        state.phase = _IDLE
