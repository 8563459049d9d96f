"""GEMMs that reach, whatever the seed, the bins that random ones rarely do."""

from collections.abc import Iterator
from itertools import product

import numpy as np

from arch.formats import FORMATS, FP32, Format
from arch.tensor.config import EngineConfig
from golden.numerics.conversions import code_dtype, encode
from golden.tensor.jobs import Gemm
from verif.tensor.coverage.bins import FARTHEST, heights, used
from verif.tensor.coverage.rounding import CASES, RANGES

__all__ = ["busy_jobs", "directed_jobs", "ring_jobs", "rounding_terms"]

#: Factors ``m`` and exponents ``p`` of a sum of ``m * 2**p``, in the order in which they are added.
Terms = list[tuple[float, int]]


def directed_jobs(config: EngineConfig) -> list[Gemm]:
    """For the numeric points, the sizes of tiles and the waits."""
    return [
        *_operand_jobs(config),
        *_addend_jobs(config),
        *_rounding_jobs(config),
        *_result_jobs(config),
        *(_guard_jobs(config) if config.exact else _alignment_jobs(config)),
        *_tile_jobs(config),
        *_wait_jobs(config),
    ]


def ring_jobs(config: EngineConfig) -> list[Gemm]:
    """Right after reset: passes that end at the last PSUM row, begin at row 0 and wrap, then more than PSUM holds."""
    half = config.psum_depth // 2
    return [_plain(config, m, 1, config.cols) for m in (half, half, half - 9, half - 9, half - 9, 2 * half + 300)]


def busy_jobs(config: EngineConfig) -> list[Gemm]:
    """Many passes of a few rows each: the control points, for sources that idle and a sink that stalls."""
    return [
        _plain(config, m, k, 40 * config.cols) for m, k in product((1, 2, 3, config.rows, config.rows + 5), (1, 2, 3))
    ]


def _widest(config: EngineConfig) -> Format:
    return max(config.operand_formats, key=lambda fmt: fmt.exp_bits)


def _plain(config: EngineConfig, m: int, k: int, n: int) -> Gemm:
    """Ones."""
    fmt = config.operand_formats[0]
    one = fmt.bias << fmt.man_bits
    x, w = (np.full(shape, one, code_dtype(fmt)) for shape in ((m, k), (k, n)))
    return Gemm(x=x, w=w, x_format=fmt.name, w_format=fmt.name)


def _class_codes(fmt: Format) -> np.ndarray:
    """A code of each class and sign: zero, least subnormal, one, largest, Inf, NaN."""
    codes = [0, 1, fmt.bias << fmt.man_bits, fmt.max_code, *([fmt.inf] if fmt.has_inf else []), fmt.nan]
    return np.array([code | sign << fmt.bits - 1 for sign in (0, 1) for code in codes], code_dtype(fmt))


def _operand_jobs(config: EngineConfig) -> Iterator[Gemm]:
    """Every class of activation times every class of weight, on lane 1: see ``PeSampler`` for why not 0."""
    for x_fmt, w_fmt in product(config.operand_formats, repeat=2):
        x, w = _class_codes(x_fmt), _class_codes(w_fmt)
        yield Gemm(
            x=np.stack([np.zeros_like(x), x], axis=1),
            w=np.stack([np.zeros_like(w), w]),
            x_format=x_fmt.name,
            w_format=w_fmt.name,
        )


def _addend_jobs(config: EngineConfig) -> Iterator[Gemm]:
    """Every class of sum plus every class of product, times one; then products added to a sum that rounded to -0."""
    fmt = _widest(config)
    codes = _class_codes(fmt)
    one = fmt.bias << fmt.man_bits
    first, second = (part.ravel() for part in np.meshgrid(codes, codes))
    x = np.stack([np.zeros_like(first), first, second], axis=1)
    names = {"x_format": fmt.name, "w_format": fmt.name}
    yield Gemm(x=x, w=np.array([[one], [one], [one]], code_dtype(fmt)), **names)
    x = np.stack([np.full_like(codes, 1 | 1 << fmt.bits - 1), codes], axis=1)
    yield Gemm(x=x, w=np.array([[1], [one]], code_dtype(fmt)), **names)


def _sum_job(config: EngineConfig, terms: Terms, **modes) -> Gemm:
    """One sum, its terms in order, the last of them not on lane 0."""
    fmt = _widest(config)
    values = [(0.0, 0.0)]
    for m, p in terms:
        low = p // 2
        values.append((m * 2.0**low, 2.0 ** (p - low)))
    if len(values) % config.rows == 1:
        values.insert(0, (0.0, 0.0))
    x, w = (encode(np.array(part, np.float32), fmt) for part in zip(*values, strict=True))
    # Whatever cannot be written in the format would be another sum.
    return Gemm(x=x[None], w=w[:, None], x_format=fmt.name, w_format=fmt.name, **modes)


def _largest(fmt: Format) -> Terms:
    """The largest finite number; no step of the sum is larger."""
    place = fmt.max_exp - fmt.bias - fmt.man_bits
    significand = round(fmt.max_value / 2.0**place)
    # Pieces of 3 bits: every format holds them.
    pieces = range(fmt.man_bits // 3 * 3, -1, -3)
    return [(float(m), place + at) for at in pieces if (m := significand >> at & (7 if at != pieces[0] else -1))]


def _ones(fmt: Format, place: int, bits: int) -> Terms:
    return [(float((1 << min(3, bits - at)) - 1), place + at) for at in range((bits - 1) // 3 * 3, -1, -3)]


def rounding_terms(fmt: Format, case: str, size: str, place: int) -> Terms:
    """A sum whose rounding to a format, with the last place ``2**place``, is this case and that range.

    Nothing is rounded before the last term is added.
    """
    subnormal = size == "subnormal"
    bits = fmt.man_bits + (not subnormal)
    even = [(1.0, place + 1)] if subnormal else [(1.0, place + fmt.man_bits)]
    odd = [(1.0, place)] if subnormal else [*even, (1.0, place)]
    last = fmt.max_exp - fmt.bias - fmt.man_bits
    half = (1.0, fmt.max_exp - fmt.bias)
    return {
        "exact": odd,
        "below half": [*even, (1.0, place - 2)],
        "tie, down to even": [*even, (1.0, place - 1)],
        "tie, up to even": [*odd, (1.0, place - 1)],
        "above half": [*even, (3.0, place - 2)],
        "carry into the exponent": [*_ones(fmt, place, bits), (3.0, place - 2)],
        "overflow by rounding": [*_largest(fmt), (3.0, last - 2)],
        "beyond the range": [half, half],
    }[case]


def _signed(terms: Terms) -> Iterator[Terms]:
    yield terms
    yield [(-m, p) for m, p in terms]


def _place(fmt: Format, config: EngineConfig) -> int:
    """The least last place of normal numbers with two places of products below it."""
    return max(fmt.lsb_exp, config.product_lsb_exp + 2) if config.exact else fmt.lsb_exp


def _rounding_jobs(config: EngineConfig) -> Iterator[Gemm]:
    for fmt, case, size in product(FORMATS.values(), CASES, RANGES):
        # What the plan says cannot be.
        far = config.exact and fmt.exp_bits == FP32.exp_bits
        large = case in CASES[-2:]
        if (far and (large or size == "subnormal")) or (large and size == "subnormal"):
            continue
        for terms in _signed(rounding_terms(fmt, case, size, _place(fmt, config))):
            for saturate in (False, True):
                yield _sum_job(config, terms, out_format=fmt.name, saturate=saturate)


def _result_jobs(config: EngineConfig) -> Iterator[Gemm]:
    """Zeros, the largest numbers, Inf and NaN."""
    for fmt, saturate in product(FORMATS.values(), (False, True)):
        modes = {"out_format": fmt.name, "saturate": saturate}
        targets = [[(1.0, max(fmt.lsb_exp - 2, config.product_lsb_exp))], _largest(fmt), [(np.nan, 0)]]
        if config.exact and fmt.exp_bits == FP32.exp_bits:
            targets = targets[2:]
        if config.has_inf:
            targets.append([(np.inf, 0)])
        yield _sum_job(config, [], **modes)
        for terms in targets:
            for signed in _signed(terms):
                yield _special_job(config, signed, modes)


def _special_job(config: EngineConfig, terms: Terms, modes: dict) -> Gemm:
    """As :func:`_sum_job`; a factor that is NaN or Inf is one in the operand."""
    job = _sum_job(config, [(m if np.isfinite(m) else 1.0, p) for m, p in terms], **modes)
    fmt = FORMATS[job.x_format]
    for at, (m, _) in enumerate(reversed(terms), 1):
        if not np.isfinite(m):
            job.x[0, -at] = (fmt.nan if np.isnan(m) else fmt.inf) | np.signbit(m) << fmt.bits - 1
    return job


def _guard_jobs(config: EngineConfig) -> Iterator[Gemm]:
    """Sums of the largest products, of both signs: as many as give each length up to a few tiles, then ``k_max``."""
    fmt = max(config.operand_formats, key=lambda fmt: fmt.max_value)
    counts = [2, 3]
    while counts[-1] < 4 * config.rows:
        counts.append(2 * counts[-1])
    for k in (*counts, config.k_max):
        x = np.full((2, k), fmt.max_code, code_dtype(fmt))
        x[1] |= 1 << fmt.bits - 1
        yield Gemm(x=x, w=np.full((k, 1), fmt.max_code, code_dtype(fmt)), x_format=fmt.name, w_format=fmt.name)


def _alignment_jobs(config: EngineConfig) -> Iterator[Gemm]:
    """One, plus or minus a power of two."""
    for distance, sign in product(range(-FARTHEST, FARTHEST + 1), (1.0, -1.0)):
        yield _sum_job(config, [(1.0, 0), (sign, -distance)])


def _tile_jobs(config: EngineConfig) -> Iterator[Gemm]:
    for m, k, n in product(heights(config).values(), used(config.rows).values(), used(config.cols).values()):
        yield _plain(config, m, k, n)


def _wait_jobs(config: EngineConfig) -> Iterator[Gemm]:
    """Second passes that must wait for the sums of the first, from one cycle to the longest; and passes of one row."""
    for m in range(1, config.store_latency):
        yield _plain(config, m, config.rows + 1, 1)
    yield _plain(config, 1, 1, 4 * config.cols)
    yield _plain(config, 2, 2 * config.rows + 1, 2)
