"""The coverage plan: every point with its bins, the bins that cannot be hit, and the lines that need not be, each with
its reason.

``sampling`` counts the hits; ``bins`` has the limits of labels that are ranges.
"""

from collections.abc import Iterator
from itertools import product

from arch.formats import FORMATS
from arch.tensor.config import EngineConfig
from verif.coverage.points import Excluded, Point
from verif.coverage.verilog import Waiver
from verif.tensor.coverage.bins import (
    AFTER_SWAP,
    BESIDES,
    DISTANCES,
    GAPS,
    RESULT_CLASSES,
    RING,
    RUNS,
    SIGNED_CLASSES,
    SIGNS,
    WAITS,
    ends,
    heights,
    largest_exponent,
    product_exponents,
    terms,
    used,
)
from verif.tensor.coverage.recording import STREAMS
from verif.tensor.coverage.rounding import CASES, RANGES

__all__ = ["WAIVERS", "plan"]

#: Lines and branches that are not reached.
WAIVERS: tuple[Waiver, ...] = ()


def plan(config: EngineConfig) -> tuple[Point, ...]:
    """The points of a configuration."""
    return (
        *_operands(config),
        *(_exact_sums(config) if config.exact else _fp32_sums(config)),
        *_results(config),
        *_passes(config),
        *_psum(config),
        *_streams(config),
    )


def _operands(config: EngineConfig) -> Iterator[Point]:
    pairs = list(product(config.formats, config.formats))
    excluded = []
    for axis, lane in (("activation", 0), ("weight", 1)):
        names = {pair[lane] for pair in pairs if not FORMATS[pair[lane]].has_inf}
        excluded += [
            Excluded(
                f"{name} has no Inf",
                {"formats": [" x ".join(p) for p in pairs if p[lane] == name], axis: ["+Inf", "-Inf"]},
            )
            for name in sorted(names)
        ]
    yield Point(
        "operands",
        "An activation met a weight in a PE that multiplies: the formats, and what each of the two was.",
        {"formats": [" x ".join(p) for p in pairs], "activation": SIGNED_CLASSES, "weight": SIGNED_CLASSES},
        excluded,
    )


def _terms(config: EngineConfig) -> Point:
    excluded = [Excluded("a fixed-point zero has no sign", {"sum": ["-0"]})] if config.exact else []
    if not config.exact and "bf16" not in config.formats:
        excluded.append(Excluded("only a bf16 product is so small that it rounds to -0", {"sum": ["-0"]}))
    return Point(
        "addends",
        "What a PE added: the sum from the north and the product.",
        {"sum": terms(config), "product": terms(config)},
        excluded,
    )


def _exact_sums(config: EngineConfig) -> Iterator[Point]:
    yield Point(
        "product shift",
        "By how many places a product other than zero was shifted left to be added.",
        {"places": [str(n) for n in range(2 * largest_exponent(config) + 1)]},
    )
    yield _terms(config)
    yield Point(
        "guard bits",
        "Length of a stored sum's magnitude, beyond that of the largest product: how far carries went.",
        {"bits": [str(n) for n in range(config.max_product_bits + 1, config.acc_bits)], "sign": SIGNS},
    )
    yield Point(
        "fp32 rounding",
        "What rounding a finished sum to fp32 did.",
        {"case": CASES, "sign": SIGNS},
        [Excluded("exact sums stay far below the largest fp32 number", {"case": CASES[-2:]})],
    )


def _fp32_sums(config: EngineConfig) -> Iterator[Point]:
    yield Point(
        "product exponent",
        "The exponent of a product other than zero, as decoded operands add it.",
        {"exponent": list(product_exponents(config))},
    )
    yield _terms(config)
    yield Point(
        "alignment",
        "Exponent of the sum from the north less that of the product, both finite and not zero.",
        {"distance": DISTANCES, "operation": ("add", "subtract")},
    )
    overflows = Excluded("what is too large is not subnormal", {"case": CASES[-2:], "range": ["subnormal"]})
    far = [Excluded("FP8 products lie far inside the range of fp32", {"range": ["subnormal"]})]
    far += [Excluded("FP8 products lie far inside the range of fp32", {"case": CASES[-2:]})]
    yield Point(
        "fp32 rounding",
        "What the rounding of a fused multiply-add did.",
        {"case": CASES, "range": RANGES, "sign": SIGNS},
        [overflows, *(far if config.sums_in_range else [])],
    )


def _results(config: EngineConfig) -> Iterator[Point]:
    narrow = [name for name in FORMATS if name != "fp32"]
    small = [Excluded("what is too large is not subnormal", {"case": CASES[-2:], "range": ["subnormal"]})]
    if config.exact:
        reason = "exact sums lie far inside the range of bf16"
        small += [
            Excluded(reason, {"format": ["bf16"], "range": ["subnormal"]}),
            Excluded(reason, {"format": ["bf16"], "case": CASES[-2:]}),
        ]
    else:
        reason = "fp32 has the exponents of bf16: what is not beyond it rounds to a number of bf16 or past its last"
        small.append(Excluded(reason, {"format": ["bf16"], "case": ["beyond the range"]}))
    yield Point(
        "narrowing",
        "What the rounding of a finite fp32 result to a narrower format did.",
        {"format": narrow, "case": CASES, "range": RANGES, "sign": SIGNS},
        small,
    )
    infinite = ["+Inf", "-Inf"]
    excluded = [
        Excluded("saturation leaves no Inf", {"format": narrow, "saturate": ["yes"], "result": infinite}),
        Excluded("e4m3 has no Inf", {"format": ["e4m3"], "result": infinite}),
    ]
    if config.exact:
        wide = ["fp32", "bf16"]
        excluded += [
            Excluded("an exact zero is +0, and no other sum is so small", {"format": wide, "result": ["-zero"]}),
            Excluded(
                "exact sums lie far inside the range of fp32 and bf16",
                {"format": wide, "result": ["+subnormal", "-subnormal"]},
            ),
            Excluded("Inf is not converted, and no sum is so large", {"format": ["fp32"], "result": ["+max", "-max"]}),
        ]
        bf16_max = {"format": ["bf16"], "saturate": ["no"], "result": ["+max", "-max"]}
        excluded.append(Excluded("exact sums lie far inside the range of fp32 and bf16", bf16_max))
        if not config.has_inf:
            excluded += [
                Excluded("no operand is infinite", {"format": wide, "result": infinite}),
                Excluded("no operand is infinite", {"format": ["bf16"], "result": ["+max", "-max"]}),
            ]
    yield Point(
        "results",
        "What was read out.",
        {"format": list(FORMATS), "saturate": ("no", "yes"), "result": RESULT_CLASSES},
        excluded,
    )


def _passes(config: EngineConfig) -> Iterator[Point]:
    rows, cols = config.rows, config.cols
    yield Point(
        "tiles",
        "Size of a pass: activation rows, lanes and columns in use.",
        {"M": list(heights(config)), "K": list(used(rows)), "N": list(used(cols))},
    )
    yield Point(
        "steps of a tile",
        "Which pass of its output tile a pass was.",
        {"first": ("no", "yes"), "last": ("no", "yes")},
    )
    yield Point(
        "swap",
        "Cycles without a row between the last row of a pass and the first of the next, which swaps the weights; "
        "with the rows of the pass before.",
        {"bubble": list(GAPS), "M": [label for label in heights(config) if label != "the most"]},
    )
    yield Point("bubbles in a pass", "Cycles without a row between two rows of a pass.", {"bubble": list(GAPS)})
    yield Point(
        "weights of the next pass",
        "First weight row, beside the swap of the pass before it, which frees the plane; last weight row, beside the "
        "last activation row of that pass.",
        {"first": list(AFTER_SWAP), "last": list(BESIDES)},
    )


def _psum(config: EngineConfig) -> Iterator[Point]:
    yield Point(
        "PSUM",
        "A sum was stored: the column, and the row of its bank.",
        {"column": list(ends(config.cols)), "row": list(ends(config.psum_depth))},
    )
    yield Point("PSUM ring", "How the rows of a pass lay in the ring of PSUM rows.", {"pass": RING})


def _streams(config: EngineConfig) -> Iterator[Point]:
    yield Point(
        "stalls",
        "Cycles in a row in which a payload was offered and not taken.",
        {"stream": STREAMS, "cycles": list(RUNS)},
    )
    yield Point(
        "idle",
        "Cycles in a row in which a stream was ready and nothing was offered.",
        {"stream": STREAMS, "cycles": list(RUNS)},
    )
    yield Point(
        "waits",
        "Why an offered activation row was not taken, and for how many cycles in a row.",
        {"reason": WAITS, "cycles": list(RUNS)},
        []
        if config.store_latency > 8
        else [
            Excluded(
                f"a sum is back after {config.store_latency} cycles",
                {"reason": ["sum under way"], "cycles": ["8 or more"]},
            )
        ],
    )
