"""The vector and the scalar engine of the cycle model.

An element's value is made when it is taken; what it is to be written as waits in a queue until the write stage has it.
"""

import numpy as np

from arch.core.instructions import INSTRUCTIONS
from arch.core.layouts import PORT_ROW_BITS
from arch.core.timing import FLOAT_LATENCY, FUNCTION_LATENCY, REDUCE_CYCLES
from golden.core.cycles import values
from golden.core.cycles.readers import SCALAR_X, VECTOR_T, VECTOR_X
from golden.core.cycles.state import FIFO, OPERANDS, REDUCED, SCRATCH
from golden.kernels import borrowing_kernel

__all__ = ["IDLE", "SCALAR", "VECTOR", "ask_write", "clock_lane", "decide_lane", "wants_rows"]

VECTOR, SCALAR = range(2)
IDLE, _FIRST, _SECOND, _RUN, _REDUCE = range(5)
_DEPTHS = (2 * FLOAT_LATENCY + 2, 2 * FLOAT_LATENCY + FUNCTION_LATENCY + 2)
_FIELDS = {entry.name: entry for entry in INSTRUCTIONS["vector"]}
_ROWS = (1 << PORT_ROW_BITS) - 1
_LANE, _TENSOR = (_FIELDS["a_kind"].names.index(name) for name in ("lane", "tensor"))
_PSUM = _FIELDS["x_source"].names.index("psum")
_AT_MOST, _AT_LEAST, _EQUAL = (_FIELDS["mask"].names.index(name) for name in ("at_most", "at_least", "equal"))


@borrowing_kernel
def _write_stage(state, unit):
    """Whether the write stage is valid."""
    return state.valids >> _DEPTHS[unit] - 1 & 1


@borrowing_kernel
def ask_write(unit, state, code, words, port, data, enable):
    """Ask the engine's write port of SBUF, from registers alone."""
    reduced = state.phase == _REDUCE and (code.reduce != values.ADD or state.count == REDUCE_CYCLES)
    if _write_stage(state, unit) and code.write:
        address = code.y_address + state.j2 * code.y_stride2 + state.j1 * code.y_stride1 + state.j0 * code.y_stride0
        bits = (1 << values.element_bytes(code.y_type)) - 1 << (address & 3)
        row = state.got & FIFO - 1
    elif reduced:
        address, bits, row = code.r_address, np.int64(15), np.int64(REDUCED)
    else:
        port.valid = port.row = 0
        return
    port.valid = 1
    port.row = address >> 2 & _ROWS
    for lane in range(data.shape[1]):
        data[unit, lane] = words[unit, row, lane]
        enable[unit, lane] = bits if lane < code.lanes else 0


@borrowing_kernel
def _offer(pattern, address, kind):
    """Offer a pattern of one element to a reader."""
    pattern.valid = 1
    pattern.address = address
    pattern.bytes = values.element_bytes(kind)
    pattern.count0 = pattern.count1 = pattern.count2 = 1
    pattern.stride0 = pattern.stride1 = pattern.stride2 = 0


@borrowing_kernel
def _offer_instruction(code, patterns, x_reader):
    """Offer an instruction's patterns to its readers."""
    if code.x_source != _PSUM:
        pattern = patterns[x_reader]
        _offer(pattern, code.x_address, code.x_type)
        pattern.count0, pattern.count1, pattern.count2 = code.count0, code.count1, code.count2
        pattern.stride0, pattern.stride1, pattern.stride2 = code.x_stride0, code.x_stride1, code.x_stride2
    if code.a_kind == _TENSOR or code.b_kind == _TENSOR:
        pattern = patterns[VECTOR_T]
        _offer(pattern, code.t_address, code.t_type)
        pattern.count0, pattern.count1, pattern.count2 = code.count0, code.count1, code.count2
        pattern.stride0, pattern.stride1, pattern.stride2 = code.t_stride0, code.t_stride1, code.t_stride2


@borrowing_kernel
def wants_rows(state, code):
    """Whether the engine is to have the result stream."""
    return state.phase == _RUN and code.x_source == _PSUM


@borrowing_kernel
def decide_lane(unit, state, code, readers, patterns, granted, result_valid):
    """What the engine does in this cycle, given its write's grant; True if it takes its result from PSUM now."""
    x_reader = VECTOR_X if unit == VECTOR else SCALAR_X
    x = readers[x_reader]
    leaving = _write_stage(state, unit)
    state.advance = not leaving or not code.write or granted
    state.complete = 0
    state.take = 0
    x.ready = 0
    if unit == VECTOR:
        readers[VECTOR_T].ready = 0
    if state.phase == _FIRST or state.phase == _SECOND:
        first = state.phase == _FIRST
        if (code.a_kind if first else code.b_kind) == _LANE:
            x.ready = 1
            if not state.asked:
                _offer(patterns[x_reader], code.a if first else code.b, values.FP32_TYPE)
    elif state.phase == _RUN:
        if not state.asked:
            _offer_instruction(code, patterns, x_reader)
        psum = code.x_source == _PSUM
        tensor = code.a_kind == _TENSOR or code.b_kind == _TENSOR
        take = state.asked and not state.all_taken and state.advance
        take = take and (result_valid if psum else x.full) and (not tensor or readers[VECTOR_T].full)
        state.take = take
        if take and not psum:
            x.ready = 1
        if take and tensor:
            readers[VECTOR_T].ready = 1
        state.complete = state.advance and leaving and state.lasts >> _DEPTHS[unit] - 1 and code.reduce == 0
        return psum
    elif state.phase == _REDUCE:
        state.complete = granted
    return False


@borrowing_kernel
def _make(unit, state, code, words, partials, xs, x_offset, ts, t_offset):
    """The element that is taken, in every lane: what it adds to the reduction, and the words it is written as."""
    scratch, first, second = words[SCRATCH], words[OPERANDS], words[OPERANDS + 1]
    psum = code.x_source == _PSUM
    for lane in range(xs.size):
        x = np.int64(xs[lane]) if psum else values.widen(xs[lane], x_offset, code.x_type)
        if code.absolute:
            x = values.canonical(x & 0x7FFFFFFF)
        a = values.widen(ts[lane], t_offset, code.t_type) if code.a_kind == _TENSOR else np.int64(first[lane])
        b = values.widen(ts[lane], t_offset, code.t_type) if code.b_kind == _TENSOR else np.int64(second[lane])
        scratch[lane] = values.operate(code.op1, values.operate(code.op0, x, a), b)
    if unit == SCALAR:
        values.apply(code.function, scratch)
    written = words[state.put & FIFO - 1]
    for lane in range(xs.size):
        y = np.int64(scratch[lane])
        if code.mask:
            limit = code.mask_base + code.mask_lane * lane
            at_most, at_least = state.i0 <= limit, state.i0 >= limit
            kept = at_most if code.mask == _AT_MOST else at_least if code.mask == _AT_LEAST else at_most and at_least
            y = y if kept else values.canonical(code.fill)
        if code.reduce:
            values.reduce_into(partials[lane], state.taken, y, code.reduce)
        if code.write:
            written[lane] = values.convert(y, code.y_type)


@borrowing_kernel
def _clock_pipeline(unit, state, code):
    """All stages move on."""
    if _write_stage(state, unit):
        state.got += 1
        state.j0 += 1
        if state.j0 == code.count0:
            state.j0 = 0
            state.j1 += 1
            if state.j1 == code.count1:
                state.j1 = 0
                state.j2 += 1
    last = state.take and state.all_taken
    kept = (np.int64(1) << _DEPTHS[unit]) - 1
    state.valids = (state.valids << 1 | state.take) & kept
    state.lasts = (state.lasts << 1 | last) & kept


@borrowing_kernel
def _count(state, code):
    """The element that is taken has been."""
    state.taken += 1
    state.i0 += 1
    if state.i0 == code.count0:
        state.i0 = 0
        state.i1 += 1
        if state.i1 == code.count1:
            state.i1 = 0
            state.i2 += 1
            state.all_taken = state.i2 == code.count2


@borrowing_kernel
def _clock_operand(unit, second, state, code, operand, readers, read_data, held, patterns):
    """The first or the second operand; True when it is there."""
    x_reader = VECTOR_X if unit == VECTOR else SCALAR_X
    if (code.b_kind if second else code.a_kind) != _LANE:
        operand[:] = values.canonical(code.b if second else code.a)
        return True
    if patterns[x_reader].taken:
        state.asked = 1
    if not readers[x_reader].full:
        return False
    words = read_data[x_reader] if readers[x_reader].fresh else held[x_reader]
    for lane in range(operand.size):
        operand[lane] = values.canonical(np.int64(words[lane]))
    state.asked = 0
    return True


@borrowing_kernel
def _take(unit, state, code, words, partials, readers, read_data, held, result):
    """An element is taken."""
    x_reader = VECTOR_X if unit == VECTOR else SCALAR_X
    x, t = readers[x_reader], readers[VECTOR_T]
    xs = read_data[x_reader] if x.fresh else held[x_reader]
    if code.x_source == _PSUM:
        xs = result
    ts = read_data[VECTOR_T] if t.fresh else held[VECTOR_T]
    _make(unit, state, code, words, partials, xs, x.offset, ts, t.offset)
    state.put += 1
    _count(state, code)


@borrowing_kernel
def clock_lane(unit, state, code, words, partials, readers, read_data, held, patterns, result):
    """At the edge, before the readers and SBUF. ``result``: the row of PSUM that is offered."""
    leaves = state.advance and _write_stage(state, unit) and state.lasts >> _DEPTHS[unit] - 1
    if state.take:
        _take(unit, state, code, words[unit], partials[unit], readers, read_data, held, result)
    if state.advance and (state.valids or state.take):
        _clock_pipeline(unit, state, code)
    if state.phase == IDLE:
        if state.start:
            state.phase = _FIRST
            state.asked = 0
    elif state.phase == _FIRST or state.phase == _SECOND:
        second = state.phase - _FIRST
        operand = words[unit, OPERANDS + second]
        if _clock_operand(unit, second, state, code, operand, readers, read_data, held, patterns):
            state.phase += 1
    elif state.phase == _RUN:
        if not state.asked:
            state.asked = 1
            state.i0 = state.i1 = state.i2 = state.taken = state.all_taken = 0
            state.j0 = state.j1 = state.j2 = 0
            values.begin_reduction(partials[unit])
        if leaves and code.reduce:
            state.phase = _REDUCE
            state.count = 0
            for lane in range(words.shape[2]):
                words[unit, REDUCED, lane] = values.finish_reduction(partials[unit, lane], code.reduce)
        elif leaves:
            state.phase = IDLE
    elif state.complete:
        state.phase = IDLE
    elif state.count < REDUCE_CYCLES:
        state.count += 1
