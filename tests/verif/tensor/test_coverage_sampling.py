"""Hand-made cases hit their bin and no other."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from arch.formats import FORMATS, FP32
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import command_layout
from arch.tensor.presets import PRESETS
from golden.numerics.conversions import code_dtype
from golden.tensor.engine import TensorEngine
from golden.tensor.jobs import Gemm
from golden.tensor.stimulus import gemm_stimulus
from verif.coverage.points import Hits
from verif.tensor.coverage.directed import _place, _sum_job, rounding_terms
from verif.tensor.coverage.plan import plan
from verif.tensor.coverage.recording import STREAMS, Recording
from verif.tensor.coverage.rounding import CASES, RANGES
from verif.tensor.coverage.sampling import Sampler, sample_passes, sample_psum, sample_streams
from verif.tensor.workload.operands import random_operands

TINY, BF16, FP8 = PRESETS["tiny"], PRESETS["bf16"], PRESETS["fp8"]


def hit(hits: Hits, point: str) -> dict[tuple[str, ...], int]:
    """The bins of a point that were hit, and how often."""
    counts = hits.counts[point]
    return {hits.points[point].labels(index): int(counts[tuple(index)]) for index in np.argwhere(counts)}


def sampled(config: EngineConfig, job: Gemm) -> Hits:
    """What the golden trace of one GEMM hits."""
    model, sampler = TensorEngine(config), Sampler(config)
    formats = {"x_format": job.x_format, "w_format": job.w_format, "out_format": job.out_format}
    model.offer(*gemm_stimulus(job.x, job.w, config, saturate=job.saturate, **formats))
    # In pieces: nothing may hang on where they end.
    while not model.done:
        sampler.see(model.run(7, until_done=True))
    return sampler.hits()


def gemm(x, w, fmt: str, **modes) -> Gemm:
    dtype = code_dtype(fmt)
    return Gemm(x=np.array(x, dtype), w=np.array(w, dtype), x_format=fmt, w_format=fmt, **modes)


# ---- operands, products, sums --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "w", "labels"),
    [
        (0x00, 0x80, ("+zero", "-zero")),
        (0x01, 0x88, ("+subnormal", "-normal")),
        (0x87, 0x08, ("-subnormal", "+normal")),
        (0x7E, 0xFE, ("+max", "-max")),
        (0x7D, 0xFF, ("+normal", "-NaN")),
    ],
)
def test_operand_classes(x, w, labels):
    hits = sampled(TINY, gemm([[x]], [[w]], "e4m3"))
    assert hit(hits, "operands") == {("e4m3 x e4m3", *labels): 1}


def test_operands_of_every_lane_meet_their_own_weights():
    # Lanes k: x of two rows, w of one column. NaN and zero of different lanes never meet.
    hits = sampled(TINY, gemm([[0x00, 0x7F], [0x38, 0x7F]], [[0x38], [0x7E]], "e4m3"))
    assert hit(hits, "operands") == {
        ("e4m3 x e4m3", "+zero", "+normal"): 1,
        ("e4m3 x e4m3", "+normal", "+normal"): 1,
        ("e4m3 x e4m3", "+NaN", "+max"): 2,
    }


def test_format_pairs_and_inf():
    job = Gemm(x=np.array([[0x7C]], np.uint8), w=np.array([[0x8000]], np.uint16), x_format="e5m2", w_format="bf16")
    assert hit(sampled(BF16, job), "operands") == {("e5m2 x bf16", "+Inf", "-zero"): 1}


def test_product_shift_and_addends():
    # Lane 0 is not sampled; lane 1: 1.0 x 1.0, both with the exponent field 7, less 1 each.
    hits = sampled(TINY, gemm([[0, 0x38]], [[0] * 4, [0x38] * 4], "e4m3"))
    assert hit(hits, "product shift") == {("12",): 4}
    assert hit(hits, "addends") == {("+0", "finite"): 4}
    # The least products and the largest.
    assert hit(sampled(TINY, gemm([[0, 1]], [[0], [7]], "e4m3")), "product shift") == {("0",): 1}
    assert hit(sampled(TINY, gemm([[0, 0x7E]], [[0], [0xFE]], "e4m3")), "product shift") == {("28",): 1}


@pytest.mark.parametrize("config", [FP8, BF16], ids=["exact", "fp32"])
def test_addends_with_inf_and_nan(config):
    one, inf, nan = 0x3C, 0x7C, 0x7F
    x, names = [0, one, inf | 0x80, inf, nan, 0x80], ("finite", "-Inf", "+Inf", "NaN", "-0")
    hits = sampled(config, gemm([x], [[one] * config.cols] * 6, "e5m2"))
    sums = ("+0", "finite", "-Inf", "NaN", "NaN")
    assert hit(hits, "addends") == {pair: config.cols for pair in zip(sums, names, strict=True)}


PES = ("product shift", "product exponent", "addends", "alignment", "fp32 rounding")


@pytest.mark.parametrize(
    ("config", "built"),
    [
        pytest.param(FP8, {"rows_per_load_cycle": 3}, id="weights-of-two-words"),
        pytest.param(FP8, {"product_latency": 2}, id="products-a-cycle-early"),
        pytest.param(TINY, {"integer_operands": True, "product_latency": 2}, id="products-of-two-words"),
        pytest.param(BF16, {"add_latency": 5, "rows_per_load_cycle": 8}, id="sums-of-five-cycles"),
    ],
)
def test_what_pes_did_hangs_on_the_gemm_and_not_on_how_the_array_is_built(config, built):
    seed = int(np.random.default_rng().integers(1 << 31))
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    fmt = config.formats[-1]
    x, w = random_operands(rng, (7, 2 * config.rows + 1, config.cols + 1), fmt, fmt, "bits")
    job = Gemm(x=x, w=w, x_format=fmt, w_format=fmt)
    plain, other = sampled(config, job), sampled(replace(config, **built), job)
    assert hit(plain, "addends")
    for name in PES:
        if name == "product shift" and built.get("integer_operands"):
            # The edges have shifted the operands: nothing is left to shift.
            assert hit(other, name) == {("0",): sum(hit(plain, name).values())}
        elif name in plain.points:
            assert hit(other, name) == hit(plain, name), name


def test_a_masked_lane_adds_nothing():
    hits = sampled(TINY, gemm([[0x38]], [[0x38]], "e4m3"))
    assert not hit(hits, "product shift") and not hit(hits, "addends")


@pytest.mark.parametrize(("config", "fmt", "bits"), [(TINY, "e4m3", 36), (FP8, "e5m2", 64)], ids=["tiny", "fp8"])
def test_guard_bits(config, fmt, bits):
    largest = FORMATS[fmt].max_code
    assert config.max_product_bits == bits
    for k, length in ((1, None), (2, bits + 1), (3, bits + 2)):
        for sign, label in ((0, "+"), (0x80, "-")):
            hits = sampled(config, gemm([[largest | sign] * k], [[largest]] * k, fmt))
            assert hit(hits, "guard bits") == ({(str(length), label): 1} if length else {})


# ---- rounding ------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", [TINY, FP8], ids=["tiny", "fp8"])
@pytest.mark.parametrize("case", CASES[:-2])
@pytest.mark.parametrize("sign", ["+", "-"])
def test_rounding_of_exact_sums(config, case, sign):
    terms = rounding_terms(FP32, case, "normal", _place(FP32, config))
    job = _sum_job(config, [(m if sign == "+" else -m, p) for m, p in terms])
    assert hit(sampled(config, job), "fp32 rounding") == {(case, sign): 1}


@pytest.mark.parametrize(
    ("case", "size"), [pair for pair in product(CASES, RANGES) if pair[0] not in CASES[-2:] or pair[1] == "normal"]
)
@pytest.mark.parametrize("sign", ["+", "-"])
def test_rounding_of_fused_sums(case, size, sign):
    terms = rounding_terms(FP32, case, size, FP32.lsb_exp)
    job = _sum_job(BF16, [(m if sign == "+" else -m, p) for m, p in terms])
    # The steps up to the last are exact.
    inexact = {labels for labels in hit(sampled(BF16, job), "fp32 rounding") if labels[0] != "exact"}
    assert inexact == ({(case, size, sign)} if case != "exact" else set())


@pytest.mark.parametrize("config", [TINY, BF16], ids=["tiny", "bf16"])
@pytest.mark.parametrize("name", ["bf16", "e4m3", "e5m2"])
def test_rounding_to_narrow_formats(config, name):
    fmt = FORMATS[name]
    excluded = next(p for p in plan(config) if p.name == "narrowing")
    for case, size, sign in product(CASES, RANGES, ("+", "-")):
        labels = (name, case, size, sign)
        index = tuple(list(axis).index(label) for axis, label in zip(excluded.axes.values(), labels, strict=True))
        if excluded.exclusion[index] >= 0:
            continue
        terms = rounding_terms(fmt, case, size, _place(fmt, config))
        job = _sum_job(config, [(m if sign == "+" else -m, p) for m, p in terms], out_format=name)
        assert hit(sampled(config, job), "narrowing") == {labels: 1}


@pytest.mark.parametrize(
    ("terms", "modes", "labels"),
    [
        ([(1.0, 0)], ("fp32", False), ("fp32", "no", "+normal")),
        ([], ("e5m2", True), ("e5m2", "yes", "+zero")),
        ([(-1.0, -18)], ("e4m3", True), ("e4m3", "yes", "-zero")),
        ([(-3.0, -9)], ("e4m3", False), ("e4m3", "no", "-subnormal")),
        ([(7.0, 6)], ("e4m3", False), ("e4m3", "no", "+max")),
        ([(1.0, 12)], ("e4m3", True), ("e4m3", "yes", "+max")),
        ([(1.0, 12)], ("e4m3", False), ("e4m3", "no", "NaN")),
        ([(-1.0, 16)], ("e5m2", False), ("e5m2", "no", "-Inf")),
    ],
)
def test_results(terms, modes, labels):
    job = _sum_job(TINY, terms, out_format=modes[0], saturate=modes[1])
    assert hit(sampled(TINY, job), "results") == {labels: 1}


@pytest.mark.parametrize(("distance", "label"), [(0, "0"), (-26, "-26"), (27, "27 or more"), (40, "27 or more")])
def test_alignment(distance, label):
    for sign, operation in ((1.0, "add"), (-1.0, "subtract")):
        hits = sampled(BF16, _sum_job(BF16, [(1.0, 0), (sign, -distance)]))
        assert hit(hits, "alignment") == {(label, operation): 1}


def test_product_exponent():
    hits = sampled(BF16, gemm([[0, 1]], [[0], [1]], "bf16"))
    assert hit(hits, "product exponent") == {("0",): 1}
    largest = FORMATS["bf16"].max_code
    assert hit(sampled(BF16, gemm([[0, largest]], [[0], [largest]], "bf16")), "product exponent") == {("520",): 1}


# ---- control -------------------------------------------------------------------------------------


def recording(passes: list[dict], rows=(), weights=(), **streams: tuple[str, str]) -> Recording:
    """A recording of passes on ``TINY`` whose rows and weights were taken in these cycles.

    ``streams``: valid and ready of a stream instead, a letter per cycle, ``#`` for 1.
    """
    cycles = 30
    flags = {name: [np.zeros(cycles, bool), np.zeros(cycles, bool)] for name in STREAMS}
    for name, taken in (("i_activation", rows), ("i_weight", weights)):
        flags[name] = [np.isin(np.arange(cycles), taken)] * 2
    for name, texts in streams.items():
        flags[name] = [np.array([letter == "#" for letter in text.ljust(cycles, ".")]) for text in texts]
    rows, weights = (np.count_nonzero(flags[name][0] & flags[name][1]) for name in ("i_activation", "i_weight"))
    fields = dict.fromkeys(command_layout(TINY).fields, 0)
    return Recording(
        config=TINY,
        valid={name: pair[0] for name, pair in flags.items()},
        ready={name: pair[1] for name, pair in flags.items()},
        commands={name: np.array([(fields | p)[name] for p in passes], np.int64) for name in fields},
        weights=np.zeros((weights, 4), np.uint8),
        activations=np.zeros((rows, 4), np.uint8),
        results=np.zeros((0, 4), np.uint32),
        south=np.zeros((cycles, 4, 2), np.uint32),
    )


def counted(sample, seen: Recording) -> Hits:
    hits = Hits(plan(TINY))
    sample(seen, hits)
    return hits


def test_two_passes():
    passes = [{"tile_m": 3, "tile_k": 4, "tile_n": 1, "first": 1}, {"tile_m": 1, "tile_k": 2, "tile_n": 3, "last": 1}]
    hits = counted(sample_passes, recording(passes, [10, 11, 14, 15], [1, 2, 3, 4, 11, 14]))
    assert hit(hits, "tiles") == {("below R", "4", "1"): 1, ("1", "2 or more", "3"): 1}
    assert hit(hits, "steps of a tile") == {("yes", "no"): 1, ("no", "yes"): 1}
    assert hit(hits, "swap") == {("none", "below R"): 1}
    assert hit(hits, "bubbles in a pass") == {("none",): 1, ("2 to 7",): 1}
    assert hit(hits, "weights of the next pass") == {("next cycle", "same cycle"): 1}


@pytest.mark.parametrize(
    ("row", "weight", "swap", "label"),
    [
        (13, 10, "1", ("with the swap", "before")),
        (13, 11, "2 to 7", ("next cycle", "after")),
        (19, 15, "8 or more", ("later", "after")),
    ],
)
def test_swaps_after_bubbles(row, weight, swap, label):
    # The swap of the first pass is in cycle 10; with two rows it ends in cycle 11.
    m = 2 if label[1] == "before" else 1
    rows = [10, 11, 13] if m == 2 else [10, row]
    passes = [{"tile_m": m, "tile_k": 1}, {"tile_m": 1, "tile_k": 1}]
    hits = counted(sample_passes, recording(passes, rows, [1, weight]))
    assert hit(hits, "swap") == {(swap, "1" if m == 1 else "below R"): 1}
    assert hit(hits, "weights of the next pass") == {label: 1}


def test_psum_rows_and_columns():
    passes = [{"tile_m": 1, "tile_n": 1, "base": 0}, {"tile_m": 2, "tile_n": 4, "base": 1023}]
    hits = counted(sample_psum, recording(passes, [1, 2, 3]))
    assert hit(hits, "PSUM") == {
        ("first", "first"): 2,
        ("middle", "first"): 2,
        ("last", "first"): 1,
        ("first", "last"): 1,
        ("middle", "last"): 2,
        ("last", "last"): 1,
    }
    assert hit(hits, "PSUM ring") == {("wraps inside",): 1}
    passes = [{"tile_m": 1, "base": 1023}, {"tile_m": 1, "base": 0}]
    hits = counted(sample_psum, recording(passes, [1, 2]))
    assert hit(hits, "PSUM ring") == {("ends at the last row",): 1, ("begins at 0 once more",): 1}
    # The first pass after reset begins at 0, and only there.
    hits = counted(sample_psum, recording([{"tile_m": 1, "base": 0}, {"tile_m": 1, "base": 1}], [1, 2]))
    assert not hit(hits, "PSUM ring")


@pytest.mark.parametrize("stream", STREAMS)
def test_stalls_and_idle_cycles(stream):
    pattern = {stream: ("#.##.#########..", "..##..........##")}
    # Whatever the stream, the passes must come to what is taken.
    streams = {"i_weight": ("##", "##"), "i_activation": ("..##", "..##")} | pattern
    hits = counted(sample_streams, recording([{"tile_m": 2, "tile_k": 2}], **streams))
    assert hit(hits, "stalls") == {(stream, "1"): 1, (stream, "8 or more"): 1}
    assert hit(hits, "idle") == {(stream, "2"): 1}


def test_why_rows_wait():
    passes = [{"tile_m": 1, "tile_k": 1, "first": 1}, {"tile_m": 1, "tile_k": 1}]
    seen = recording(
        passes,
        weights=[3, 8],
        # Rows are taken in cycles 6 and 12. The first is offered before its weights are there.
        i_activation=("..#####..####", "......#.....#"),
    )
    hits = counted(sample_streams, seen)
    assert hit(hits, "waits") == {("no pass", "2"): 1, ("PSUM full", "2"): 1, ("sum under way", "3 to 7"): 1}
