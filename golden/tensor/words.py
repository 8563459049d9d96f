"""Registers in the 32-bit words of a record: products, and the limbs of partial sums.

``f`` is ``golden.tensor.arithmetic.Widths``.
"""

import numpy as np

from golden.kernels import kernel

__all__ = ["load_hi", "load_lo", "load_product", "store", "store_product"]

# Unsigned subscripts spare the test for a negative one.


@kernel
def _load_pair(words, at, count):
    """Up to 64 bits at ``words[at:]``, in one word or, where ``count`` says so, in two."""
    value = np.int64(words[np.uint64(at)])
    if count > 1:
        value |= np.int64(words[np.uint64(at + 1)]) << 32
    return value


@kernel
def _store_pair(words, at, value, count):
    """Write up to 64 bits to ``words[at:]``, likewise."""
    words[np.uint64(at)] = value & 0xFFFFFFFF
    if count > 1:
        words[np.uint64(at + 1)] = value >> 32 & 0xFFFFFFFF


@kernel
def load_product(words, at, f):
    """The product register, tags at bit 0, at ``words[at:]``."""
    return _load_pair(words, at, f.product_words)


@kernel
def store_product(words, at, product, f):
    """Write a product register to ``words[at:]``."""
    _store_pair(words, at, product, f.product_words)


@kernel
def load_lo(words, at, f):
    """The low limb of a psum at ``words[at:]``."""
    return _load_pair(words, at, f.psum_words)


@kernel
def load_hi(words, at, f):
    """The high limb of a psum at ``words[at:]``."""
    return np.int64(words[np.uint64(at + 2)]) if f.psum_words > 2 else np.int64(0)


@kernel
def store(words, at, lo, hi, f):
    """Write a psum's limbs to ``words[at:]``."""
    _store_pair(words, at, lo, f.psum_words)
    if f.psum_words > 2:
        words[np.uint64(at + 2)] = hi & 0xFFFFFFFF
