"""Bits in the 32-bit words of a record."""

import numpy as np

from golden.kernels import kernel

__all__ = ["put"]


@kernel
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
