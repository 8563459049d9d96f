"""The kernel of ``golden.array``: one clock cycle of the tensor engine after another, as docs/architecture.md says.

Within a cycle the order is: handshakes, the record, reads of PSUM, writes of PSUM, the PEs, the sequencer. What
travels with a fixed latency (rows to lanes, columns and stores) is not shifted but looked up in ``State.rows`` and
``State.weight_rows``, rings that hold what was taken in which cycle.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from golden import _pe
from golden.arithmetic import Widths

# Fields of a command, in the order of ``command_layout``.
TILE_M, TILE_K, TILE_N, BASE, DISTANCE, FIRST, LAST, X_FORMAT, W_FORMAT, OUT_FORMAT, SATURATE = range(11)

# Streams, in the order of a record.
COMMAND, WEIGHT, ACTIVATION = range(3)

# Entries of State.rows: an activation row on its way.
VALID, SWAP, ADDRESS, IS_FIRST, IS_LAST, LANES, COLUMNS = range(7)

# Words of a PE in a trace.
W_WEIGHT, W_SHADOW, W_ACTIVE, W_BEAT, W_PRODUCT, W_PSUM = range(6)

# Entries of State.scalars; PRESENTED and POSITION have one per stream.
CYCLE, LOADER_VALID, LOADED, EXECUTOR_VALID, TAKEN, IN_FLIGHT, OCCUPIED, ROWS_READY, READ_ROW, ADVANCES = range(10)
RESULT_VALID, FIRST_WEIGHT, LAST_STORE, LAST_TAKE, ROWS_STORED = range(10, 15)
PRESENTED, POSITION, SCALARS = 15, 18, 21

# Tags of a beat and, the first two, of a product.
TAG_VALID, TAG_ENABLE, TAG_SWAP, TAG_LOAD = 1, 2, 4, 8


class Hardware(NamedTuple):
    """What does not change: sizes, latencies, tables."""

    rows: int
    cols: int
    depth: int
    hazard: int
    store_latency: int
    drain_latency: int
    code_bits: int
    pe_words: int
    ring_mask: int
    arithmetic: Widths
    operands: np.ndarray  # uint32[4, codes]: packed operands by format select and code
    narrow: np.ndarray  # golden.arithmetic.narrow_table()


class State(NamedTuple):
    """What changes from cycle to cycle."""

    scalars: np.ndarray  # int64[SCALARS]
    loader: np.ndarray  # int64[11]: the loader's command
    executor: np.ndarray  # int64[11]: the executor's command
    rows: np.ndarray  # int64[ring, 7]: the activation row taken in a cycle
    row_operands: np.ndarray  # int64[ring, R]
    weight_rows: np.ndarray  # int64[ring]: the index in its tile of the weight row taken in a cycle, or -1
    weight_operands: np.ndarray  # int64[ring, C]
    seeds: np.ndarray  # int64[2, C, 2]: the read port of PSUM, in even and odd cycles
    memory: np.ndarray  # int64[depth, C, 2]: PSUM, in limbs
    finished: np.ndarray  # int64[depth, 4]: tile_n, out_format, saturate, last row of its tile
    stage_valid: np.ndarray  # int64[4]
    stage_words: np.ndarray  # uint32[4, C + 1]: read-out, by the number of the advance that read the row
    result: np.ndarray  # uint32[C + 1]: the payload of o_result
    pes: np.ndarray  # uint32[R * C * pe_words], as in a record


class Queues(NamedTuple):
    """Beats waiting at the inputs: payload words as in a record, and the commands' fields."""

    command_fields: np.ndarray  # int64[n, 11]
    commands: np.ndarray  # uint32[n, words]
    weights: np.ndarray  # uint32[n, words]
    activations: np.ndarray  # uint32[n, words]


@njit(cache=True, inline="always")
def _noise(seed, cycle):
    """64 fresh bits a cycle, a function of the two numbers alone (the finaliser of splitmix64)."""
    z = np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.uint64(cycle + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64(z ^ (z >> np.uint64(31)))


@njit(cache=True, inline="always")
def _put(record, at, valid, beats, position):
    """Write one stream's ``valid`` and payload to a record; returns where the next field goes."""
    record[at] = valid
    words = beats.shape[1]
    for i in range(words):
        record[at + 1 + i] = beats[position, i] if valid else np.uint32(0)
    return at + 1 + words


@njit(cache=True)
def _decode(words, code_bits, table, operands):
    """The operands of a beat's lanes."""
    mask = (1 << code_bits) - 1
    for lane in range(operands.size):
        bit = lane * code_bits
        operands[lane] = table[np.int64(words[bit >> 5]) >> (bit & 31) & mask]


@njit(cache=True)
def _read_row(h, s, slot):
    """Read the next finished PSUM row into a stage of the read-out, rounded and converted."""
    row = s.scalars[READ_ROW]
    out = s.stage_words[slot]
    out[:] = 0
    fmt = h.narrow[s.finished[row, 1]]
    for c in range(s.finished[row, 0]):
        code = _pe.round_psum(s.memory[row, c, 0], s.memory[row, c, 1], h.arithmetic)
        out[c] = _pe.narrow(code, fmt, s.finished[row, 2])
    out[h.cols] = s.finished[row, 3]
    s.scalars[READ_ROW] = (row + 1) & (h.depth - 1)


@njit(cache=True)
def _read_out(h, s, read):
    """Move the read-out by one stage. A row enters in advance n and reaches the port in advance n + 3."""
    advance = s.scalars[ADVANCES]
    slot = advance & 3
    s.stage_valid[slot] = read
    if read:
        _read_row(h, s, slot)
    oldest = (advance + 1) & 3
    s.scalars[RESULT_VALID] = s.stage_valid[oldest]
    if s.stage_valid[oldest]:
        s.result[:] = s.stage_words[oldest]
    s.scalars[ADVANCES] = advance + 1


@njit(cache=True)
def _access_psum(h, s, cycle):
    """Seeds of the next cycle's top row, then the stores of this one: a read gets what was there before."""
    seeds = s.seeds[(cycle + 1) & 1]
    last_row = (h.rows - 1) * h.cols * h.pe_words + W_PSUM
    for c in range(h.cols):
        entry = (cycle - 1 - c) & h.ring_mask
        if s.rows[entry, VALID]:
            if s.rows[entry, IS_FIRST]:
                seeds[c, 0] = 0
                seeds[c, 1] = 0
            else:
                address = s.rows[entry, ADDRESS]
                seeds[c, 0] = s.memory[address, c, 0]
                seeds[c, 1] = s.memory[address, c, 1]
    for c in range(h.cols):
        entry = (cycle - h.store_latency - c) & h.ring_mask
        if s.rows[entry, VALID] and c < s.rows[entry, COLUMNS]:
            address = s.rows[entry, ADDRESS]
            at = last_row + c * h.pe_words
            s.memory[address, c, 0] = _pe.load_lo(s.pes, at, h.arithmetic)
            s.memory[address, c, 1] = _pe.load_hi(s.pes, at, h.arithmetic)
            s.scalars[LAST_STORE] = cycle
            if c == s.rows[entry, COLUMNS] - 1:
                s.scalars[ROWS_STORED] += 1


@njit(cache=True, inline="always")
def _west(h, s, cycle, r):
    """What enters lane r in this cycle: tags and operand, packed as a beat."""
    row = (cycle - r) & h.ring_mask
    beat = np.int64(0)
    if s.rows[row, VALID]:
        beat = s.row_operands[row, r] << 4 | TAG_VALID
        if r < s.rows[row, LANES]:
            beat |= TAG_ENABLE
        if s.rows[row, SWAP]:
            beat |= TAG_SWAP
    if s.weight_rows[row] == r:
        beat |= TAG_LOAD
    return beat


@njit(cache=True, inline="always")
def _north(h, s, cycle, c):
    """The weight that enters column c in this cycle."""
    entry = (cycle - c) & h.ring_mask
    return s.weight_operands[entry, c] if s.weight_rows[entry] >= 0 else np.int64(0)


@njit(cache=True)
def _clock_pes(h, s, cycle):
    """One clock edge of every PE, in place: from the south-east corner, so that a PE's neighbours are still old."""
    f = h.arithmetic
    pes = s.pes
    seeds = s.seeds[cycle & 1]
    size = h.pe_words
    row_size = h.cols * size
    for r in range(h.rows - 1, -1, -1):
        west = _west(h, s, cycle, r)
        for c in range(h.cols - 1, -1, -1):
            at = r * row_size + c * size
            product = np.int64(pes[at + W_PRODUCT])
            if product & TAG_VALID:
                if r:
                    lo = _pe.load_lo(pes, at - row_size + W_PSUM, f)
                    hi = _pe.load_hi(pes, at - row_size + W_PSUM, f)
                else:
                    lo, hi = seeds[c, 0], seeds[c, 1]
                if product & TAG_ENABLE:
                    if f.exact:
                        lo, hi = _pe.add_exact(lo, hi, product >> 2, f)
                    else:
                        lo = _pe.add_fp32(lo, product >> 2, f)
                _pe.store(pes, at + W_PSUM, lo, hi, f)
            beat = np.int64(pes[at + W_BEAT])
            if beat & TAG_ENABLE:
                product = _pe.product_payload(beat >> 4, np.int64(pes[at + W_ACTIVE]), f) << 2
            pes[at + W_PRODUCT] = (product & ~3) | (beat & 3)
            arriving = np.int64(pes[at - size + W_BEAT]) if c else west
            weight = np.int64(pes[at - row_size + W_WEIGHT]) if r else _north(h, s, cycle, c)
            if arriving & TAG_SWAP:
                pes[at + W_ACTIVE] = pes[at + W_SHADOW]
            if arriving & TAG_LOAD:
                pes[at + W_SHADOW] = weight
            pes[at + W_WEIGHT] = weight
            pes[at + W_BEAT] = arriving if arriving & TAG_ENABLE else (beat & ~15) | (arriving & 15)


@njit(cache=True)
def _take_row(h, s, q, cycle, take):
    """Enter the activation row taken in this cycle, or that there is none, into the ring."""
    entry = s.rows[cycle & h.ring_mask]
    entry[VALID] = take
    if take:
        command = s.executor
        taken = s.scalars[TAKEN]
        address = (command[BASE] + taken) & (h.depth - 1)
        entry[SWAP] = taken == 0
        entry[ADDRESS] = address
        entry[IS_FIRST] = command[FIRST]
        entry[IS_LAST] = command[LAST]
        entry[LANES] = command[TILE_K]
        entry[COLUMNS] = command[TILE_N]
        if command[LAST]:
            s.finished[address, 0] = command[TILE_N]
            s.finished[address, 1] = command[OUT_FORMAT]
            s.finished[address, 2] = command[SATURATE]
            s.finished[address, 3] = taken == command[TILE_M] - 1
        words = q.activations[s.scalars[POSITION + ACTIVATION]]
        _decode(words, h.code_bits, h.operands[command[X_FORMAT]], s.row_operands[cycle & h.ring_mask])


@njit(cache=True)
def _take_weights(h, s, q, cycle, load):
    """Enter the weight row taken in this cycle, or that there is none, into the ring."""
    entry = cycle & h.ring_mask
    s.weight_rows[entry] = s.scalars[LOADED] if load else -1
    if load:
        words = q.weights[s.scalars[POSITION + WEIGHT]]
        _decode(words, h.code_bits, h.operands[s.loader[W_FORMAT]], s.weight_operands[entry])
        if s.scalars[FIRST_WEIGHT] < 0:
            s.scalars[FIRST_WEIGHT] = cycle


@njit(cache=True)
def drained(h, s, q):
    """True if nothing is waiting and nothing is under way."""
    n = s.scalars
    if n[LOADER_VALID] or n[EXECUTOR_VALID] or n[ROWS_READY] or n[RESULT_VALID]:
        return False
    if n[POSITION + COMMAND] < q.commands.shape[0] or n[POSITION + WEIGHT] < q.weights.shape[0]:
        return False
    if n[POSITION + ACTIVATION] < q.activations.shape[0]:
        return False
    for i in range(4):
        if s.stage_valid[i] and i != (n[ADVANCES] & 3):
            return False
    return n[LAST_TAKE] < 0 or n[CYCLE] - n[LAST_TAKE] > h.drain_latency


@njit(cache=True)
def run(h, s, q, trace, registers, seed, quiet, until_done):
    """Simulate ``len(trace)`` cycles, or fewer with ``until_done``; returns how many.

    ``quiet``: int64[4], the three sources' probability of idling and the sink's of stalling, in 1/65536.
    """
    n = s.scalars
    sizes = (q.commands.shape[0], q.weights.shape[0], q.activations.shape[0])
    for index in range(trace.shape[0]):
        if until_done and drained(h, s, q):
            return index
        cycle = n[CYCLE]
        noise = _noise(seed, cycle)
        for i in range(3):
            if n[POSITION + i] < sizes[i] and (noise >> 16 * i & 0xFFFF) >= quiet[i]:
                n[PRESENTED + i] = 1
        result_ready = (noise >> 48 & 0xFFFF) >= quiet[3]

        # Handshakes.
        executing = n[EXECUTOR_VALID] != 0
        if s.executor[FIRST]:
            row_ready = executing and n[OCCUPIED] < h.depth
        else:
            row_ready = executing and n[IN_FLIGHT] < s.executor[DISTANCE]
        take = row_ready and n[PRESENTED + ACTIVATION] != 0
        loading = n[LOADER_VALID] != 0
        plane_free = not executing or n[TAKEN] > 0 or take
        weight_ready = loading and n[LOADED] < s.loader[TILE_K] and plane_free
        load = weight_ready and n[PRESENTED + WEIGHT] != 0
        pass_ends = take and n[TAKEN] + 1 == s.executor[TILE_M]
        hand_over = loading and n[LOADED] + load == s.loader[TILE_K] and (not executing or pass_ends)
        command_ready = not loading or hand_over
        command = command_ready and n[PRESENTED + COMMAND] != 0
        advance = n[RESULT_VALID] == 0 or result_ready
        read = advance and n[ROWS_READY] > 0

        # The record.
        record = trace[index]
        at = _put(record, 0, n[PRESENTED + COMMAND], q.commands, n[POSITION + COMMAND])
        at = _put(record, at, n[PRESENTED + WEIGHT], q.weights, n[POSITION + WEIGHT])
        at = _put(record, at, n[PRESENTED + ACTIVATION], q.activations, n[POSITION + ACTIVATION])
        record[at] = result_ready
        record[at + 1] = command_ready
        record[at + 2] = weight_ready
        record[at + 3] = row_ready
        record[at + 4] = n[RESULT_VALID]
        at += 5
        record[at : at + h.cols + 1] = s.result
        if registers:
            record[at + h.cols + 1 :] = s.pes

        # Data.
        _take_row(h, s, q, cycle, take)
        _take_weights(h, s, q, cycle, load)
        if advance:
            _read_out(h, s, read)
        _access_psum(h, s, cycle)
        _clock_pes(h, s, cycle)

        # Counters: a row leaves the hazard window, another becomes readable.
        n[IN_FLIGHT] += take - s.rows[(cycle - h.hazard + 1) & h.ring_mask, VALID]
        n[OCCUPIED] += (take and s.executor[FIRST] != 0) - read
        stored = s.rows[(cycle + 1 - h.drain_latency) & h.ring_mask]
        n[ROWS_READY] += (stored[VALID] & stored[IS_LAST]) - read

        # The sequencer.
        if take:
            n[TAKEN] += 1
            n[LAST_TAKE] = cycle
            if pass_ends:
                n[EXECUTOR_VALID] = 0
        n[LOADED] += load
        if hand_over:
            s.executor[:] = s.loader
            n[EXECUTOR_VALID] = 1
            n[TAKEN] = 0
            n[LOADER_VALID] = 0
        if command:
            s.loader[:] = q.command_fields[n[POSITION + COMMAND]]
            n[LOADER_VALID] = 1
            n[LOADED] = 0
        for i, done in enumerate((command, load, take)):
            if done:
                n[POSITION + i] += 1
                n[PRESENTED + i] = 0
        n[CYCLE] = cycle + 1
    return trace.shape[0]
