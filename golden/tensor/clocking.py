"""The kernel of ``golden.tensor.engine``: cycle after cycle of the tensor engine, as docs/architecture.md says.

Within a cycle the order is: handshakes, the record, reads of PSUM, writes of PSUM, the PEs, the sequencer. What
travels with a fixed latency (rows to lanes, columns and stores) is not shifted but looked up in ``State.rows`` and
``State.weight_rows``, rings that hold what was taken in which cycle.
"""

from typing import NamedTuple

import numpy as np

from golden.kernels import kernel
from golden.tensor import rounding as _pe
from golden.tensor.arithmetic import Widths

# Fields of a command, in the order of ``command_layout``.
TILE_M, TILE_K, TILE_N, BASE, DISTANCE, FIRST, LAST, X_FORMAT, W_FORMAT, OUT_FORMAT, SATURATE = range(11)

# Streams, in the order of a record.
COMMAND, WEIGHT, ACTIVATION = range(3)

# Entries of State.rows: an activation row on its way.
VALID, SWAP, ADDRESS, IS_FIRST, IS_LAST, LANES, COLUMNS = range(7)

# Words of a PE in a trace, counted from the last one of the weights; the psum follows the product's one or two.
W_WEIGHT, W_SHADOW, W_ACTIVE, W_BEAT, W_PRODUCT = range(5)

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
    read_latency: int
    drain_latency: int
    code_bits: int
    product_latency: int
    add_latency: int
    load_rows: int  # rows_per_load_cycle
    operand_bits: int
    weight_words: int
    pe_words: int
    column_bits: int
    address_bits: int
    ring_mask: int
    arithmetic: Widths
    operands: np.ndarray  # uint32[4, codes]: packed operands by format select and code
    narrow: np.ndarray  # golden.tensor.arithmetic.narrow_table()


class State(NamedTuple):
    """What changes from cycle to cycle."""

    scalars: np.ndarray  # int64[SCALARS]
    loader: np.ndarray  # int64[11]: the loader's command
    executor: np.ndarray  # int64[11]: the executor's command
    rows: np.ndarray  # int64[ring, 7]: the activation row taken in a cycle
    row_operands: np.ndarray  # int64[ring, R]
    weight_rows: np.ndarray  # int64[ring]: the index in its tile of the weight beat taken in a cycle, or -1
    weight_operands: np.ndarray  # int64[ring, load_rows * C]
    seeds: np.ndarray  # int64[product_latency + 1, C, 2]: what is read of PSUM, by the cycle it arrives in
    memory: np.ndarray  # int64[depth, C, 2]: PSUM, in limbs
    finished: np.ndarray  # int64[depth, 4]: tile_n, out_format, saturate, last row of its tile
    stage_valid: np.ndarray  # int64[stages]
    stage_words: np.ndarray  # uint32[stages, C]: read-out, by the number of the advance that read column 0
    stage_rows: np.ndarray  # int64[stages, 5]: which row of PSUM that is, and what ``finished`` said of it
    read_words: np.ndarray  # int64[C, 2]: what each column last read for read-out, in limbs
    result: np.ndarray  # uint32[C + 1]: the payload of o_result
    pes: np.ndarray  # uint32[R * C * pe_words], as in a record
    products: np.ndarray  # int64[R * C]: what follows the product registers where product_latency is 2
    sums: np.ndarray  # int64[add_latency - 1, R * C, 3]: valid and the limbs of a sum on its way to the psum register


class Queues(NamedTuple):
    """Beats waiting at the inputs: payload words as in a record, and the commands' fields."""

    command_fields: np.ndarray  # int64[n, 11]
    commands: np.ndarray  # uint32[n, words]
    weights: np.ndarray  # uint32[n, words]
    activations: np.ndarray  # uint32[n, words]


@kernel
def _noise(seed, cycle):
    """64 fresh bits a cycle, a function of the two numbers alone (the finaliser of splitmix64)."""
    z = np.uint64(seed) * np.uint64(0xD1342543DE82EF95) + np.uint64(cycle + 1) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64(z ^ (z >> np.uint64(31)))


@kernel
def _put(record, at, valid, beats, position):
    """Write one stream's ``valid`` and payload to a record; returns where the next field goes."""
    record[at] = valid
    words = beats.shape[1]
    for i in range(words):
        record[at + 1 + i] = beats[position, i] if valid else np.uint32(0)
    return at + 1 + words


@kernel
def _decode(beats, position, code_bits, table, fmt, operands, entry):
    """The operands of a beat's lanes."""
    mask = (1 << code_bits) - 1
    for lane in range(operands.shape[1]):
        bit = lane * code_bits
        code = np.int64(beats[position, bit >> 5]) >> (bit & 31) & mask
        operands[entry, lane] = table[fmt, code]


@kernel
def _pack_mode(columns, out_format, saturate, end, bits):
    """``readout_layout``, whose ``columns`` has so many bits."""
    return columns | end << bits | out_format << bits + 1 | saturate << bits + 3


@kernel
def _read_columns(memory, narrow, advances, stage_valid, stage_rows, stage_words, read_words, f):
    """What each column reads in an advance, rounded and converted: column c what column 0 read c advances ago."""
    for c in range(read_words.shape[0]):
        slot = (advances - c) % stage_valid.size
        if not stage_valid[slot]:
            continue
        row, columns, select, saturate, _ = stage_rows[slot]
        lo, hi = memory[row, c, 0], memory[row, c, 1]
        read_words[c, 0], read_words[c, 1] = lo, hi
        code = np.int64(0)
        if c < columns:
            code = _pe.narrow(_pe.round_psum(lo, hi, f), narrow[select], saturate)
        stage_words[slot, c] = code


@kernel
def _put_sum(record, at, lo, hi, f):
    """Write a psum to a record; returns where the next field goes."""
    _pe.store(record, at, lo, hi, f)
    return at + f.psum_words


@kernel
def _put_weights(words, at, weight_rows, weight_operands, entry, c, first, h):
    """Write a column's pipes, as the weight beat of an entry filled them: the beat's row ``first`` lowest."""
    for i in range(h.weight_words):
        words[at + i] = 0
    if weight_rows[entry] < 0:
        return
    for i in range(h.load_rows):
        operand = weight_operands[entry, (first + i) % h.load_rows * h.cols + c]
        bit = i * h.operand_bits
        words[at + (bit >> 5)] |= operand << (bit & 31) & 0xFFFFFFFF
        if (bit & 31) + h.operand_bits > 32:
            words[at + (bit >> 5) + 1] |= operand >> 32 - (bit & 31)


@kernel
def _put_surroundings(record, at, west, weight_rows, weight_operands, seeds, rows, memory, h, cycle):
    """Write what enters the array and what is at the write side of PSUM, as it is during the cycle."""
    f, ring_mask = h.arithmetic, h.ring_mask
    for r in range(west.size):
        # An operand that is not enabled does not matter.
        record[at] = west[r] if west[r] & TAG_ENABLE else west[r] & 15
        at += 1
    for c in range(h.cols):
        _put_weights(record, at, weight_rows, weight_operands, np.uint64((cycle - c) & ring_mask), c, 0, h)
        at += h.weight_words - 1
        entry = np.uint64((cycle - 1 - c) & ring_mask)
        record[at + 1] = 0
        if rows[entry, VALID]:
            first = rows[entry, IS_FIRST]
            record[at + 1] = 3 if first else 1 | rows[entry, ADDRESS] << 2
        used = rows[np.uint64((cycle - 1 - h.product_latency - c) & ring_mask), VALID]
        at = _put_sum(record, at + 2, seeds[c, 0] if used else 0, seeds[c, 1] if used else 0, f)
        entry = np.uint64((cycle - h.store_latency - c) & ring_mask)
        stores = rows[entry, VALID] and c < rows[entry, COLUMNS]
        record[at] = 1 | rows[entry, ADDRESS] << 1 if stores else 0
        entry = np.uint64((cycle - 1 - h.store_latency - c) & ring_mask)
        passed = rows[entry, VALID] != 0
        word = memory[np.uint64(rows[entry, ADDRESS]), c]
        at = _put_sum(record, at + 1, word[0] if passed else 0, word[1] if passed else 0, f)
    return at


@kernel
def _access_psum(rows, memory, seeds, pes, h, cycle):
    """Seeds of ``product_latency`` cycles on, then the stores of this cycle: a read gets what was there before.

    Returns the stores, and of them those that complete an activation row.
    """
    f, ring_mask, cols = h.arithmetic, h.ring_mask, h.cols
    for c in range(cols):
        entry = np.uint64((cycle - 1 - c) & ring_mask)
        if rows[entry, VALID]:
            if rows[entry, IS_FIRST]:
                seeds[c, 0] = 0
                seeds[c, 1] = 0
            else:
                address = np.uint64(rows[entry, ADDRESS])
                seeds[c, 0] = memory[address, c, 0]
                seeds[c, 1] = memory[address, c, 1]
    stores = completed = 0
    last_row = pes.size - cols * h.pe_words + h.weight_words - 1 + W_PRODUCT + f.product_words
    for c in range(cols):
        entry = np.uint64((cycle - h.store_latency - c) & ring_mask)
        if rows[entry, VALID] and c < rows[entry, COLUMNS]:
            address = np.uint64(rows[entry, ADDRESS])
            at = last_row + c * h.pe_words
            memory[address, c, 0] = _pe.load_lo(pes, at, f)
            memory[address, c, 1] = _pe.load_hi(pes, at, f)
            stores += 1
            completed += c == rows[entry, COLUMNS] - 1
    return stores, completed


@kernel
def _edges(rows, row_operands, weight_rows, weight_operands, west, north, h, cycle):
    """What enters every lane (packed as a beat) and every column (an operand) in this cycle."""
    ring_mask = h.ring_mask
    for r in range(west.size):
        entry = np.uint64((cycle - r * h.add_latency) & ring_mask)
        beat = np.int64(0)
        if rows[entry, VALID]:
            beat = row_operands[entry, r] << 4 | TAG_VALID
            beat |= TAG_ENABLE if r < rows[entry, LANES] else 0
            beat |= TAG_SWAP if rows[entry, SWAP] else 0
        west[r] = beat | (TAG_LOAD if weight_rows[entry] == r // h.load_rows else 0)
    for c in range(north.size):
        entry = np.uint64((cycle - c) & ring_mask)
        north[c] = weight_operands[entry, c] if weight_rows[entry] >= 0 else 0


@kernel
def _clock_pes(pes, seeds, west, north, weight_rows, weight_operands, products, sums, h, cycle):
    """One clock edge of every PE, in place: from the south-east corner, so that a PE's neighbours are still old."""
    f, size, product_stages, sum_stages = h.arithmetic, h.pe_words, h.product_latency - 1, h.add_latency - 1
    row_size, w_psum = h.cols * size, W_PRODUCT + f.product_words
    several = h.load_rows > 1
    for r in range(h.rows - 1, -1, -1):
        for c in range(h.cols - 1, -1, -1):
            pe = r * h.cols + c
            at = pe * size + h.weight_words - 1
            product = _pe.load_product(pes, at + W_PRODUCT, f)
            ready = product
            if product_stages:
                ready = products[pe]
                products[pe] = product
            lo, hi = np.int64(0), np.int64(0)
            if ready & TAG_VALID:
                if r:
                    lo = _pe.load_lo(pes, at - row_size + w_psum, f)
                    hi = _pe.load_hi(pes, at - row_size + w_psum, f)
                else:
                    lo, hi = seeds[c, 0], seeds[c, 1]
                if ready & TAG_ENABLE:
                    if f.exact:
                        lo, hi = _pe.add_exact(lo, hi, ready >> 2, f)
                    else:
                        lo = _pe.add_fp32(lo, ready >> 2, f)
            valid = ready & TAG_VALID
            if sum_stages:
                # A sum comes out of the slot in which it was put ``sum_stages`` cycles ago.
                slot = cycle % sum_stages
                entering, entering_lo, entering_hi = valid, lo, hi
                valid, lo, hi = sums[slot, pe, 0], sums[slot, pe, 1], sums[slot, pe, 2]
                sums[slot, pe, 0], sums[slot, pe, 1], sums[slot, pe, 2] = entering, entering_lo, entering_hi
            if valid:
                _pe.store(pes, at + w_psum, lo, hi, f)
            beat = np.int64(pes[np.uint64(at + W_BEAT)])
            product = beat & 3
            if beat & TAG_ENABLE:
                product |= _pe.product_payload(beat >> 4, np.int64(pes[np.uint64(at + W_ACTIVE)]), f) << 2
            _pe.store_product(pes, at + W_PRODUCT, product, f)
            arriving = np.int64(pes[np.uint64(at - size + W_BEAT)]) if c else west[r]
            if several:
                entry = np.uint64((cycle - r * h.add_latency - c) & h.ring_mask)
                weight = weight_operands[entry, r % h.load_rows * h.cols + c]
            else:
                weight = np.int64(pes[np.uint64(at - row_size + W_WEIGHT)]) if r else north[c]
            if arriving & TAG_SWAP:
                pes[np.uint64(at + W_ACTIVE)] = pes[np.uint64(at + W_SHADOW)]
            if arriving & TAG_LOAD:
                pes[np.uint64(at + W_SHADOW)] = weight
            if several or sum_stages:
                # On its way south it is as late as the wave: what arrived here ``sum_stages`` cycles ago. The next row
                # loads from the pipe after this one's.
                entry = np.uint64((cycle - sum_stages - r * h.add_latency - c) & h.ring_mask)
                _put_weights(pes, pe * size, weight_rows, weight_operands, entry, c, r + 1, h)
            else:
                pes[np.uint64(at + W_WEIGHT)] = weight
            pes[np.uint64(at + W_BEAT)] = arriving if arriving & TAG_ENABLE else (beat & ~15) | (arriving & 15)


@kernel
def _enter_row(rows, finished, entry, command, taken, depth):
    """Enter the activation row taken in this cycle into the ring."""
    address = (command[BASE] + taken) & (depth - 1)
    rows[entry, VALID] = 1
    rows[entry, SWAP] = taken == 0
    rows[entry, ADDRESS] = address
    rows[entry, IS_FIRST] = command[FIRST]
    rows[entry, IS_LAST] = command[LAST]
    rows[entry, LANES] = command[TILE_K]
    rows[entry, COLUMNS] = command[TILE_N]
    if command[LAST]:
        finished[address, 0] = command[TILE_N]
        finished[address, 1] = command[OUT_FORMAT]
        finished[address, 2] = command[SATURATE]
        finished[address, 3] = taken == command[TILE_M] - 1


@kernel
def drained(n, stage_valid, sizes, drain_latency):
    """True if nothing is waiting and nothing is under way."""
    if n[LOADER_VALID] or n[EXECUTOR_VALID] or n[ROWS_READY] or n[RESULT_VALID]:
        return False
    for i in range(3):
        if n[POSITION + i] < sizes[i]:
            return False
    # The stage that the next advance fills holds what has left already.
    for i in range(stage_valid.size):
        if stage_valid[i] and i != n[ADVANCES] % stage_valid.size:
            return False
    return n[LAST_TAKE] < 0 or n[CYCLE] - n[LAST_TAKE] > drain_latency


@kernel
def run(h, s, q, trace, registers, seed, quiet, until_done):
    """Simulate ``len(trace)`` cycles, or fewer with ``until_done``; returns how many.

    ``quiet``: int64[4], the three sources' probability of idling and the sink's of stalling, in 1/65536.
    """
    # Once, here: taking an array out of a tuple costs as much as a PE.
    n, loader, executor, rows, pes, seeds = s.scalars, s.loader, s.executor, s.rows, s.pes, s.seeds
    row_operands, weight_rows, weight_operands = s.row_operands, s.weight_rows, s.weight_operands
    memory, finished, result = s.memory, s.finished, s.result
    stage_valid, stage_words, stage_rows, read_words = s.stage_valid, s.stage_words, s.stage_rows, s.read_words
    stages = stage_valid.size
    commands, weights, activations, command_fields = q.commands, q.weights, q.activations, q.command_fields
    operands, narrow, f, ring_mask = h.operands, h.narrow, h.arithmetic, h.ring_mask
    west, north = np.zeros(h.rows, np.int64), np.zeros(h.cols, np.int64)
    column_bits, address_bits = h.column_bits, h.address_bits
    sizes = (commands.shape[0], weights.shape[0], activations.shape[0])
    for index in range(trace.shape[0]):
        if until_done and drained(n, stage_valid, sizes, h.drain_latency):
            return index
        cycle = n[CYCLE]
        entry = cycle & ring_mask
        noise = _noise(seed, cycle)
        for i in range(3):
            if n[POSITION + i] < sizes[i] and (noise >> 16 * i & 0xFFFF) >= quiet[i]:
                n[PRESENTED + i] = 1
        result_ready = (noise >> 48 & 0xFFFF) >= quiet[3]

        # Handshakes.
        executing = n[EXECUTOR_VALID] != 0
        if executor[FIRST]:
            row_ready = executing and n[OCCUPIED] < h.depth
        else:
            row_ready = executing and n[IN_FLIGHT] < executor[DISTANCE]
        take = row_ready and n[PRESENTED + ACTIVATION] != 0
        loading = n[LOADER_VALID] != 0
        plane_free = not executing or n[TAKEN] > 0 or take
        beats_due = (loader[TILE_K] + h.load_rows - 1) // h.load_rows
        weight_ready = loading and n[LOADED] < beats_due and plane_free
        load = weight_ready and n[PRESENTED + WEIGHT] != 0
        pass_ends = take and n[TAKEN] + 1 == executor[TILE_M]
        hand_over = loading and n[LOADED] + load == beats_due and (not executing or pass_ends)
        command_ready = not loading or hand_over
        command = command_ready and n[PRESENTED + COMMAND] != 0
        advance = n[RESULT_VALID] == 0 or result_ready
        read = advance and n[ROWS_READY] > 0

        # The record.
        record = trace[index]
        at = _put(record, 0, n[PRESENTED + COMMAND], commands, n[POSITION + COMMAND])
        at = _put(record, at, n[PRESENTED + WEIGHT], weights, n[POSITION + WEIGHT])
        at = _put(record, at, n[PRESENTED + ACTIVATION], activations, n[POSITION + ACTIVATION])
        record[at] = result_ready
        record[at + 1] = command_ready
        record[at + 2] = weight_ready
        record[at + 3] = row_ready
        record[at + 4] = n[RESULT_VALID]
        at += 5
        for i in range(result.size):
            record[at + i] = result[i]
        at += result.size
        if registers:
            for i in range(pes.size):
                record[at + i] = pes[i]
            at += pes.size

        # Rows enter.
        rows[entry, VALID] = 0
        if take:
            _enter_row(rows, finished, entry, executor, n[TAKEN], h.depth)
            position = n[POSITION + ACTIVATION]
            _decode(activations, position, h.code_bits, operands, executor[X_FORMAT], row_operands, entry)
        weight_rows[entry] = n[LOADED] if load else -1
        if load:
            _decode(weights, n[POSITION + WEIGHT], h.code_bits, operands, loader[W_FORMAT], weight_operands, entry)
            if n[FIRST_WEIGHT] < 0:
                n[FIRST_WEIGHT] = cycle

        _edges(rows, row_operands, weight_rows, weight_operands, west, north, h, cycle)
        here, there = seeds[cycle % seeds.shape[0]], seeds[(cycle + h.product_latency) % seeds.shape[0]]

        if registers:
            at = _put_surroundings(record, at, west, weight_rows, weight_operands, here, rows, memory, h, cycle)
            # What column c gives was read in the last advance, and its row by column 0 c advances before.
            for c in range(h.cols):
                seen = stage_valid[(n[ADVANCES] - 1 - c) % stages] != 0
                at = _put_sum(record, at, read_words[c, 0] if seen else 0, read_words[c, 1] if seen else 0, f)
            record[at] = 0
            if take and executor[LAST]:
                mode = _pack_mode(executor[TILE_N], executor[OUT_FORMAT], executor[SATURATE], pass_ends, column_bits)
                record[at] = 1 | rows[entry, ADDRESS] << 1 | mode << 1 + address_bits
            record[at + 1] = 1 | n[READ_ROW] << 1 if read else 0
            second = (n[ADVANCES] - 2) % stages
            record[at + 2] = 0
            if stage_valid[second]:
                _, columns, select, saturate, end = stage_rows[second]
                record[at + 2] = _pack_mode(columns, select, saturate, end, column_bits)

        # The read-out: column 0 reads a row in advance a, the last column in advance a + C - 1, and it is on the port
        # after advance a + stages - 1.
        freed = False
        if advance:
            slot, oldest = n[ADVANCES] % stages, (n[ADVANCES] + 1) % stages
            stage_valid[slot] = read
            if read:
                row = n[READ_ROW]
                stage_rows[slot, 0] = row
                stage_rows[slot, 1:] = finished[row]
                n[READ_ROW] = (row + 1) & (h.depth - 1)
            _read_columns(memory, narrow, n[ADVANCES], stage_valid, stage_rows, stage_words, read_words, f)
            freed = stage_valid[(n[ADVANCES] - h.cols + 1) % stages] != 0
            n[RESULT_VALID] = stage_valid[oldest]
            result[:] = 0
            if stage_valid[oldest]:
                result[: h.cols] = stage_words[oldest]
                result[h.cols] = stage_rows[oldest, 4]
            n[ADVANCES] += 1

        # PSUM and the PEs.
        stores, completed = _access_psum(rows, memory, there, pes, h, cycle)
        if stores:
            n[LAST_STORE] = cycle
            n[ROWS_STORED] += completed
        _clock_pes(pes, here, west, north, weight_rows, weight_operands, s.products, s.sums, h, cycle)

        # Counters: a row leaves the hazard window, another becomes readable.
        n[IN_FLIGHT] += take - rows[(cycle - h.hazard + 1) & ring_mask, VALID]
        n[OCCUPIED] += (take and executor[FIRST] != 0) - freed
        stored = (cycle + 1 - h.read_latency) & ring_mask
        n[ROWS_READY] += (rows[stored, VALID] & rows[stored, IS_LAST]) - read

        # The sequencer.
        if take:
            n[TAKEN] += 1
            n[LAST_TAKE] = cycle
            if pass_ends:
                n[EXECUTOR_VALID] = 0
        n[LOADED] += load
        if hand_over:
            for i in range(executor.size):
                executor[i] = loader[i]
            n[EXECUTOR_VALID] = 1
            n[TAKEN] = 0
            n[LOADER_VALID] = 0
        if command:
            for i in range(loader.size):
                loader[i] = command_fields[n[POSITION + COMMAND], i]
            n[LOADER_VALID] = 1
            n[LOADED] = 0
        for i, done in enumerate((command, load, take)):
            if done:
                n[POSITION + i] += 1
                n[PRESENTED + i] = 0
        n[CYCLE] = cycle + 1
    return trace.shape[0]
