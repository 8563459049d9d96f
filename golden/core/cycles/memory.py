"""External memory as the cycle model has it around the core: bursts are answered in order, after a latency."""

import numpy as np

from golden.core.cycles.bits import put
from golden.kernels import borrowing_kernel
from golden.tensor.sequencer import noise

__all__ = ["clock_memory", "present_memory", "put_beat"]


@borrowing_kernel
def _chance(bits, index, quiet):
    """Whether this happens in a cycle of these random bits, given the probability that it does not, in 1/65536."""
    return (bits >> 16 * (index & 3) & 0xFFFF) >= quiet[index]


@borrowing_kernel
def _read_beat(memory, base, address, beat):
    """A beat of memory; what is outside of the window is 0."""
    for byte in range(beat.size):
        at = address + byte - base
        beat[byte] = memory[at] if 0 <= at < memory.size else 0


@borrowing_kernel
def _response(responses, number):
    """What a job answers to a beat, or to a burst."""
    return np.int64(responses[number]) if number < responses.size else np.int64(0)


@borrowing_kernel
def present_memory(state, reads, answers, beat, given, cycle, seed, quiet, latency):
    """What memory offers and takes in this cycle. ``quiet``: of program, reads, answers; ar, aw, w not ready."""
    bits, more = noise(seed, 2 * cycle), noise(seed, 2 * cycle + 1)
    if state.program_waits and _chance(bits, 0, quiet):
        state.program_valid = 1
    if state.r_bursts and not state.r_valid and _chance(bits, 1, quiet):
        burst = reads[state.r_head]
        if cycle - burst.cycle >= latency:
            state.r_valid = 1
            state.r_last = state.r_beat + 1 == burst.beats
            state.r_response = _response(given.responses, state.read_beats)
            state.read_beats += 1
            _read_beat(given.window, state.base, burst.address + state.r_beat * beat.size, beat)
    if state.b_bursts and not state.b_valid and _chance(bits, 2, quiet):
        state.b_valid = cycle - answers[state.b_head].cycle >= latency
        if state.b_valid:
            state.b_response = _response(given.answers, state.write_answers)
            state.write_answers += 1
    state.ar_ready = _chance(bits, 3, quiet)
    state.aw_ready = _chance(more, 4, quiet)
    state.w_ready = _chance(more, 5, quiet)


@borrowing_kernel
def put_beat(words, at, beat):
    """A beat's bytes into the words of a record."""
    for byte in range(0, beat.size, 4):
        low, high = np.int64(beat[byte]) | np.int64(beat[byte + 1]) << 8, np.int64(beat[byte + 3])
        at = put(words, at, low | np.int64(beat[byte + 2]) << 16 | high << 24, 32)
    return at


@borrowing_kernel
def _write_beat(state, burst, memory, beat, strobes):
    for byte in range(beat.size):
        if strobes[byte]:
            at = burst.address + byte - state.base
            if 0 <= at < memory.size:
                memory[at] = beat[byte]
            else:
                state.strays += 1
    burst.address += beat.size


@borrowing_kernel
def clock_memory(state, reads, answers, memory, cycle, port, dispatch, stopped, beat, strobes, w_last):
    """At the edge, before the port. ``beat``, ``strobes``, ``w_last``: what goes out if ``port.w_taken``."""
    dispatch.program_taken = state.program_valid and not dispatch.running and not stopped
    if dispatch.program_taken:
        state.program_valid = state.program_waits = 0
    if port.r_taken:
        state.r_valid = 0
        state.r_beat += 1
        if state.r_last:
            state.r_beat = 0
            state.r_head = (state.r_head + 1) % reads.size
            state.r_bursts -= 1
    if port.ar_taken:
        burst = reads[(state.r_head + state.r_bursts) % reads.size]
        burst.address, burst.beats, burst.cycle = port.ar_address, port.ar_beats, cycle
        state.r_bursts += 1
    if state.b_valid:
        state.b_valid = 0
        state.b_head = (state.b_head + 1) % answers.size
        state.b_bursts -= 1
    if port.w_taken:
        burst = answers[(state.b_head + state.b_bursts) % answers.size]
        _write_beat(state, burst, memory, beat, strobes)
        if w_last:
            burst.cycle = cycle
            state.b_bursts += 1
            state.w_bursts -= 1
    if port.aw_taken:
        answers[(state.b_head + state.b_bursts + state.w_bursts) % answers.size].address = port.aw_address
        state.w_bursts += 1
