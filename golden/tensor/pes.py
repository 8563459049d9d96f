"""The PEs of the cycle model, as they stand in a record: one clock edge of all of them."""

import numpy as np

from golden.kernels import kernel
from golden.tensor import rounding, words
from golden.tensor.edges import TAG_ENABLE, TAG_LOAD, TAG_SWAP, TAG_VALID

__all__ = ["clock_pes", "psum_offset", "put_weights"]

# Words of a PE, counted from the last one of its weights. The psum follows the product's one or two.
W_WEIGHT, W_SHADOW, W_ACTIVE, W_BEAT, W_PRODUCT = range(5)


@kernel
def psum_offset(h):
    """Words from the first of a PE to its psum."""
    return h.weight_words - 1 + W_PRODUCT + h.arithmetic.product_words


@kernel
def clock_pes(pes, seeds, west, north, weight_rows, weight_operands, products, sums, h, cycle):
    """One clock edge of every PE, in place: from the south-east corner, so that a PE's neighbours are still old.

    No function called for each PE takes an array and has a branch: it would count references, which costs as much as
    the rest.
    """
    f, size, row_size, slot = h.arithmetic, h.pe_words, h.cols * h.pe_words, 0
    to_psum = W_PRODUCT + f.product_words
    sum_stages, several = h.add_latency - 1, h.load_rows > 1
    if sum_stages:
        slot = cycle % sum_stages
    for r in range(h.rows - 1, -1, -1):
        for c in range(h.cols - 1, -1, -1):
            pe = r * h.cols + c
            at = pe * size + h.weight_words - 1

            # The psum register: the product, which takes a cycle more where product_latency is 2, and the psum of the
            # PE to the north. The sum takes as many cycles more as there are stages.
            product = words.load_product(pes, at + W_PRODUCT, f)
            if h.product_latency > 1:
                products[pe], product = product, products[pe]
            lo, hi = np.int64(0), np.int64(0)
            if product & TAG_VALID:
                if r:
                    lo = words.load_lo(pes, at - row_size + to_psum, f)
                    hi = words.load_hi(pes, at - row_size + to_psum, f)
                else:
                    lo, hi = seeds[c, 0], seeds[c, 1]
                if product & TAG_ENABLE:
                    if f.exact:
                        lo, hi = rounding.add_exact(lo, hi, product >> 2, f)
                    else:
                        lo = rounding.add_fp32(lo, product >> 2, f)
            valid = product & TAG_VALID
            if sum_stages:
                entering, entering_lo, entering_hi = valid, lo, hi
                valid, lo, hi = sums[slot, pe, 0], sums[slot, pe, 1], sums[slot, pe, 2]
                sums[slot, pe, 0], sums[slot, pe, 1], sums[slot, pe, 2] = entering, entering_lo, entering_hi
            if valid:
                words.store(pes, at + to_psum, lo, hi, f)

            # The product register, from the beat register and the weight in use.
            beat = np.int64(pes[np.uint64(at + W_BEAT)])
            product = beat & (TAG_VALID | TAG_ENABLE)
            if beat & TAG_ENABLE:
                active = np.int64(pes[np.uint64(at + W_ACTIVE)])
                product |= rounding.product_payload(beat >> 4, active, f) << 2
            words.store_product(pes, at + W_PRODUCT, product, f)

            # The weights and the beat register, from what arrives from the north and from the west.
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
                # Weights take as long from row to row as partial sums: what leaves for the south came sum_stages
                # cycles ago. Lowest is what the next row loads.
                entry = np.uint64((cycle - sum_stages - r * h.add_latency - c) & h.ring_mask)
                put_weights(pes, pe * size, weight_rows, weight_operands, entry, c, r + 1, h)
            else:
                pes[np.uint64(at + W_WEIGHT)] = weight
            pes[np.uint64(at + W_BEAT)] = arriving if arriving & TAG_ENABLE else (beat & ~15) | (arriving & 15)


@kernel
def put_weights(words, at, weight_rows, weight_operands, entry, c, first, h):
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
