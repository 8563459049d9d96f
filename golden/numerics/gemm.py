"""The matrix product the engine computes, to the bit and for any size."""

import numpy as np

from arch.formats import ACCUMULATIONS, FP32, OPERAND_FORMATS, Format
from golden.checks import integer, plain
from golden.kernels import kernel
from golden.numerics.conversions import check_codes, decode_block, known_format, value_rule
from golden.numerics.exact import exact_gemm
from golden.numerics.panels import Block, Buffers, accumulate, for_each_block

__all__ = ["gemm"]

_FP32_NAN, _FP32_INF = np.uint32(FP32.nan), np.uint32(FP32.inf)
_FP32_MAGNITUDE = np.uint32(0x7FFFFFFF)


def gemm(
    x: np.ndarray,
    w: np.ndarray,
    *,
    x_format: str | Format = "e4m3",
    w_format: str | Format = "e4m3",
    accumulation: str = "exact",
    initial: np.ndarray | None = None,
    threads: int | None = None,
) -> np.ndarray:
    """``x @ w`` on codes, with the bits that an engine of any size gives.

    Parameters
    ----------
    x : uint8 or uint16[M, K]
        Activations. Any of M, K and N may be 0.
    w : uint8 or uint16[K, N]
        Weights.
    x_format, w_format : str or Format
        ``"e4m3"``, ``"e5m2"`` (uint8) or ``"bf16"`` (uint16), chosen independently.
    accumulation : str
        ``"exact"`` (FP8 only): the dot product as a real number, rounded once, to nearest even; a sum of
        exactly zero is +0. A NaN operand, 0 * Inf and Inf - Inf give NaN.
        ``"fp32"``: ``acc = fma(x[m, k], w[k, n], acc)`` in binary32, to nearest even, for k from 0 up to
        K - 1 in that order, from +0 or ``initial``. Subnormals count.
    initial : float32[M, N], optional
        Where the ``"fp32"`` chain starts. A contraction cut at any k and continued from the first part's
        result has the bits of the whole.
    threads : int, optional
        At most so many, where the product is large enough. Default: as many as Numba's, which is every
        processor this process may use unless NUMBA_NUM_THREADS says otherwise. No result depends on it. On
        Linux each has processors of its own meanwhile, the calling thread the one that it is on.

    Returns
    -------
    float32[M, N]
        NaN is always 0x7FC00000.

    Raises
    ------
    TypeError
        If codes do not have their format's dtype, ``initial`` is not float32, an array is masked or ``threads`` no
        integer.
    ValueError
        If shapes do not match, a name is unknown, ``threads`` is below 1, or the accumulation does not take
        the formats, ``initial`` or so long a K.
    """
    x_format = known_format("x_format", x_format, OPERAND_FORMATS)
    w_format = known_format("w_format", w_format, OPERAND_FORMATS)
    x, w = plain("x", x), plain("w", w)
    check_codes("x", x, x_format)
    check_codes("w", w, w_format)
    if x.ndim != 2 or w.ndim != 2 or x.shape[1] != w.shape[0]:
        raise ValueError(f"x must be [M, K] and w [K, N], not {list(x.shape)} and {list(w.shape)}")
    if accumulation not in ACCUMULATIONS:
        raise ValueError(f"accumulation must be one of {', '.join(ACCUMULATIONS)}, not {accumulation!r}")
    if threads is not None:
        threads = integer("threads", threads, 1)
    x, w = np.ascontiguousarray(x), np.ascontiguousarray(w)
    if accumulation == "exact":
        for fmt in (x_format, w_format):
            if fmt.bits > 8:
                raise ValueError(f"accumulation exact takes 8-bit formats only, not {fmt.name}")
        if initial is not None:
            raise ValueError("initial must be None for accumulation exact: a fixed-point sum cannot hold any float32")
        return exact_gemm(x, w, x_format, w_format, threads)
    if initial is not None:
        initial = plain("initial", initial)
        if initial.dtype != np.float32:
            raise TypeError(f"initial must be float32, not {initial.dtype}")
        if initial.shape != (x.shape[0], w.shape[1]):
            raise ValueError(f"initial must be {[x.shape[0], w.shape[1]]}, not {list(initial.shape)}")
        initial = np.ascontiguousarray(initial).view(np.uint32)
    return _chained_gemm(x, w, x_format, w_format, initial, threads)


def _chained_gemm(x, w, x_format, w_format, initial, threads):
    """``fp32`` accumulation, a block of outputs over all of K before the next."""
    out = np.empty((x.shape[0], w.shape[1]), np.float32)
    rules = value_rule(x_format), value_rule(w_format)

    def work(block: Block, buffers: Buffers) -> None:
        sums = buffers.sums("sums", block, np.float32)
        if initial is not None:
            decode_block(initial, block[0].start, block[1].start, value_rule(FP32), sums)
        accumulate(sums, (x, w), rules, block, buffers, fresh=initial is None)
        _store(sums.view(np.uint32), out[block].view(np.uint32))

    for_each_block((*x.shape, w.shape[1]), threads, work)
    return out


@kernel(nogil=True)
def _store(acc, out):
    """Float32 bits from panels to rows; every NaN becomes the canonical one."""
    width = acc.shape[2]
    for i in range(out.shape[0]):
        for p in range(acc.shape[0]):
            sums, row = acc[p, i], out[i, p * width : (p + 1) * width]
            for j in range(row.size):
                row[j] = _FP32_NAN if (sums[j] & _FP32_MAGNITUDE) > _FP32_INF else sums[j]
