"""Bits in the 32-bit words of a record."""

import numpy as np

from golden.kernels import borrowing_kernel

__all__ = ["put", "put_flags", "put_words"]


@borrowing_kernel
def put(words, at, value, width):
    """Add a number of at most 62 bits to words that are 0 there, ``at`` the place of its lowest bit; returns the end.

    Bits of ``value`` above ``width`` are left out.
    """
    end = at + width
    value &= (np.int64(1) << width) - 1
    while at < end:
        words[at >> 5] |= np.uint32(value << (at & 31) & 0xFFFFFFFF)
        value >>= 32 - (at & 31)
        at += 32 - (at & 31)
    return end


@borrowing_kernel
def put_words(words, at, values):
    """Add 32-bit words likewise; returns the end."""
    shift, index = at & 31, at >> 5
    for value in values:
        wide = np.int64(value) << shift
        words[index] |= np.uint32(wide & 0xFFFFFFFF)
        index += 1
        if shift:
            words[index] |= np.uint32(wide >> 32 & 0xFFFFFFFF)
    return at + 32 * values.size


@borrowing_kernel
def put_flags(words, at, values, width):
    """Add small numbers of ``width`` bits likewise, a divisor of 32; returns the end."""
    together = 32 // width
    for first in range(0, values.size, together):
        count = min(together, values.size - first)
        value = np.int64(0)
        for index in range(count):
            value |= np.int64(values[first + index]) << width * index
        put(words, at, value, width * count)
        at += width * count
    return at
