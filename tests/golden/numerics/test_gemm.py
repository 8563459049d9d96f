"""The chain of fused multiply-adds against Fractions, and what holds for both accumulations."""

import os
import tracemalloc
from contextlib import nullcontext
from threading import Barrier, current_thread

import numpy as np
import pytest
from numba import njit
from operands import NAN_BITS, PAIRS, SHAPES, bit_patterns, bits, chain_oracle, gaussian, rng

from arch.formats import FORMATS, FP32
from golden.numerics import panels
from golden.numerics.conversions import decode
from golden.numerics.gemm import gemm
from golden.numerics.intrinsics import fma
from golden.numerics.panels import BLOCK_K, BLOCK_M, BLOCK_N


class TestChain:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("pair", PAIRS)
    @pytest.mark.parametrize("finite", [True, False])
    def test_bit_patterns(self, pair, shape, finite):
        m, k, n = shape
        generator = rng()
        x = bit_patterns(generator, (m, k), pair[0], finite)
        w = bit_patterns(generator, (k, n), pair[1], finite)
        result = gemm(x, w, x_format=pair[0], w_format=pair[1], accumulation="fp32")
        assert np.array_equal(bits(result), chain_oracle(x, w, *pair))

    @pytest.mark.parametrize("pair", PAIRS)
    def test_initial_bit_patterns(self, pair):
        generator = rng()
        x = bit_patterns(generator, (9, 5), pair[0], True)
        w = bit_patterns(generator, (5, 35), pair[1], True)
        initial = generator.integers(0, 1 << 32, (9, 35), dtype=np.uint32).view(np.float32)
        result = gemm(x, w, x_format=pair[0], w_format=pair[1], accumulation="fp32", initial=initial)
        assert np.array_equal(bits(result), chain_oracle(x, w, *pair, initial))

    def test_underflow(self):
        """Products far below and around the smallest fp32 subnormal: one rounding, together with the sum."""
        generator = rng()
        magnitudes = generator.integers(0, 0x2400, (12, 24), dtype=np.uint16)
        x = magnitudes | generator.integers(0, 2, magnitudes.shape, dtype=np.uint16) << 15
        w = generator.integers(0x1A00, 0x2400, (24, 12), dtype=np.uint16)
        initial = generator.integers(0, 9, (12, 12), dtype=np.uint32).view(np.float32)
        for start in (None, initial, -initial):
            result = gemm(x, w, x_format="bf16", w_format="bf16", accumulation="fp32", initial=start)
            assert np.array_equal(bits(result), chain_oracle(x, w, "bf16", "bf16", start))
        assert (np.abs(decode(x, "bf16")[:, :1] * decode(w, "bf16")[:1]) < 2.0**-126).any()

    def test_negative_zero(self):
        negative_zero, one = np.array([[0x80]], np.uint8), np.array([[0x38]], np.uint8)
        start = np.array([[-0.0]], np.float32)
        assert bits(gemm(negative_zero, one, accumulation="fp32"))[0, 0] == 0
        assert bits(gemm(negative_zero, one, accumulation="fp32", initial=start))[0, 0] == 0x80000000
        assert bits(gemm(negative_zero[:, :0], one[:0], accumulation="fp32", initial=start))[0, 0] == 0x80000000

    @pytest.mark.parametrize("pair", [("e4m3", "e4m3"), ("e5m2", "e4m3")])
    def test_order_matters(self, pair):
        """Bit patterns see the order of k, and a chain cut and seeded is not the sum of two chains."""
        generator = rng()
        x, w = bit_patterns(generator, (32, 300), pair[0], True), bit_patterns(generator, (300, 32), pair[1], True)

        def run(k, initial=None):
            return gemm(x[:, k], w[k], x_format=pair[0], w_format=pair[1], accumulation="fp32", initial=initial)

        whole, order = run(slice(None)), np.arange(300)
        reverse = run(order[::-1])
        changed = np.mean(bits(whole) != bits(reverse))
        print(f"{changed:.0%} of the outputs change with the order")
        assert changed > 0.3
        for cut in (0, 1, 128, BLOCK_K, 299, 300):
            assert np.array_equal(bits(run(order[cut:], run(order[:cut]))), bits(whole))
        assert np.mean(bits(run(order[:150]) + run(order[150:])) != bits(whole)) > 0.3

    @pytest.mark.parametrize("pair", [("e4m3", "e5m2"), ("bf16", "bf16"), ("bf16", "e4m3")])
    def test_blocks(self, pair):
        """Ragged edges in every blocked dimension, against three plain loops."""
        generator = rng()
        m, k, n = BLOCK_M + 5, BLOCK_K + 3, BLOCK_N + 7
        x, w = gaussian(generator, (m, k), pair[0]), bit_patterns(generator, (k, n), pair[1], True)
        w[7, ::60] = FORMATS[pair[1]].nan
        initial = generator.standard_normal((m, n)).astype(np.float32)
        result = gemm(x, w, x_format=pair[0], w_format=pair[1], accumulation="fp32", initial=initial)
        expected = plain_loops(decode(x, pair[0]), decode(w, pair[1]), initial)
        expected[np.isnan(expected)] = np.uint32(NAN_BITS).view(np.float32)
        assert np.array_equal(bits(result), bits(expected))

    def test_gaussian(self):
        generator = rng()
        x, w = gaussian(generator, (8, 100), "bf16"), gaussian(generator, (100, 8), "bf16")
        result = gemm(x, w, x_format="bf16", w_format="bf16", accumulation="fp32")
        assert np.array_equal(bits(result), chain_oracle(x, w, "bf16", "bf16"))


@njit
def plain_loops(x, w, initial):
    out = initial.copy()
    for m in range(x.shape[0]):
        for k in range(x.shape[1]):
            for n in range(w.shape[1]):
                out[m, n] = fma(x[m, k], w[k, n], out[m, n])
    return out


def test_fma_rounds_once():
    @njit
    def compiled(a, b, c):
        return fma(a, b, c)

    a = np.float32(1 + 2**-12)
    assert compiled(a, a, -np.float32(1 + 2**-11)) == np.float32(2**-24)
    b = np.float64(1 + 2**-30)
    assert compiled(b, b, -np.float64(1 + 2**-29)) == 2**-60


@pytest.mark.parametrize("accumulation", ["exact", "fp32"])
@pytest.mark.parametrize("shape", [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0)])
def test_empty(shape, accumulation):
    m, k, n = shape
    result = gemm(np.zeros((m, k), np.uint8), np.zeros((k, n), np.uint8), accumulation=accumulation)
    assert result.shape == (m, n) and not bits(result).any()


@pytest.mark.parametrize("accumulation", ["exact", "fp32"])
def test_strided_operands(accumulation):
    generator = rng()
    x, w = bit_patterns(generator, (40, 24), "e4m3"), bit_patterns(generator, (30, 40), "e4m3")
    result = gemm(x.T[::2], w.T[:, ::3], accumulation=accumulation)
    expected = gemm(x.T[::2].copy(), w.T[:, ::3].copy(), accumulation=accumulation)
    assert np.array_equal(bits(result), bits(expected))


@pytest.mark.parametrize(
    "formats, accumulation", [(("e4m3", "e4m3"), "exact"), (("e5m2", "e5m2"), "exact"), (("e4m3", "e5m2"), "fp32")]
)
def test_memory(formats, accumulation):
    """One thread's peak stays below three times the operands, the result aside: no operand is decoded whole.

    Every further thread has its own buffers, and nothing else.
    """
    generator = rng()
    x, w = (bit_patterns(generator, (1024, 1024), fmt) for fmt in formats)
    # Compiling is not what is measured.
    gemm(x, w, x_format=formats[0], w_format=formats[1], accumulation=accumulation, threads=1)
    peaks = []
    for threads in (1, 2):
        tracemalloc.start()
        try:
            result = gemm(x, w, x_format=formats[0], w_format=formats[1], accumulation=accumulation, threads=threads)
            peaks.append(tracemalloc.get_traced_memory()[1] - result.nbytes)
        finally:
            tracemalloc.stop()
    print(f"peaks {peaks}, operands {x.nbytes + w.nbytes:,}")
    assert peaks[0] <= 3 * (x.nbytes + w.nbytes)
    assert peaks[1] <= 2 * peaks[0] + 100_000


class TestThreads:
    @pytest.mark.parametrize(
        "formats, accumulation", [(("bf16", "e4m3"), "fp32"), (("e4m3", "e4m3"), "exact"), (("e5m2", "e5m2"), "exact")]
    )
    def test_same_bits(self, formats, accumulation):
        generator = rng()
        x = bit_patterns(generator, (400, 250), formats[0], True)
        w = bit_patterns(generator, (250, 530), formats[1], True)
        x[100, 3], w[5, 200] = (FORMATS[fmt].nan for fmt in formats)
        run = {"x_format": formats[0], "w_format": formats[1], "accumulation": accumulation}
        results = [bits(gemm(x, w, **run, threads=threads)) for threads in (1, 2, 3, 8, None)]
        assert all(np.array_equal(results[0], result) for result in results[1:])

    @pytest.mark.parametrize("shape", [(1, 1), (342, 512), (343, 513), (7, 3000), (2000, 33), (1024, 1024)])
    @pytest.mark.parametrize("threads", [0, 1, 2, 3, 64])
    def test_every_output_is_in_one_block(self, shape, threads):
        seen = np.zeros(shape, int)
        for block in panels._blocks(*shape, threads):
            seen[block] += 1
            assert seen[block].shape[0] <= BLOCK_M and seen[block].shape[1] <= BLOCK_N
        assert (seen == 1).all()

    def test_work_is_shared(self):
        """Small products stay on the caller's thread; large ones do not."""
        names = set()
        meet = Barrier(2, timeout=60)

        def work(block, buffers):
            if current_thread() not in names:
                names.add(current_thread())
                meet.wait()

        panels.for_each_block((1024, 1024, 1024), 2, work)
        assert len(names) == 2
        names.clear()
        panels.for_each_block((64, 64, 64), 8, lambda block, buffers: names.add(current_thread()))
        assert names == {current_thread()}

    @pytest.mark.parametrize("threads", [1, 2])
    def test_errors_reach_the_caller(self, threads):
        def work(block, buffers):
            raise MemoryError("no room")

        with pytest.raises(MemoryError, match="no room"):
            panels.for_each_block((1024, 1024, 1024), threads, work)

    @pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no threads are placed here")
    @pytest.mark.parametrize("fails", [False, True])
    def test_threads_are_on_processors_of_their_own(self, fails):
        before, seen, meet = os.sched_getaffinity(0), {}, Barrier(2, timeout=60)
        if len(before) < 2:
            pytest.skip("needs two processors")

        def work(block, buffers):
            if current_thread() not in seen:
                seen[current_thread()] = os.sched_getaffinity(0)
                meet.wait()
            if fails:
                raise MemoryError("no room")

        with pytest.raises(MemoryError) if fails else nullcontext():
            panels.for_each_block((1024, 1024, 1024), 2, work)
        assert len(seen.pop(current_thread())) == 1 and len(seen) == 1
        (helper,) = seen.values()
        assert helper and helper < before
        assert os.sched_getaffinity(0) == before

    def test_every_thread_has_a_processor_or_none_is_placed(self):
        for threads in range(1, 9):
            own, *others = panels._processors(threads)
            assert len(others) == threads - 1
            shares = [own, *others]
            assert all(shares) or not any(shares)
            assert len(set().union(*shares)) == sum(map(len, shares))


def test_errors():
    x, w = np.zeros((2, 3), np.uint8), np.zeros((3, 4), np.uint8)
    with pytest.raises(TypeError, match="x must be uint8 codes of e4m3, not float32"):
        gemm(x.astype(np.float32), w)
    with pytest.raises(TypeError, match="w must be uint16 codes of bf16, not uint8"):
        gemm(x, w, w_format="bf16", accumulation="fp32")
    with pytest.raises(ValueError, match=r"x must be \[M, K\] and w \[K, N\], not \[2, 3\] and \[4, 3\]"):
        gemm(x, w.T.copy())
    with pytest.raises(ValueError, match=r"x must be \[M, K\] and w \[K, N\], not \[3\] and \[3, 4\]"):
        gemm(x[0], w)
    with pytest.raises(ValueError, match="x_format must be one of e4m3, e5m2, bf16, not 'fp32'"):
        gemm(x, w, x_format="fp32")
    with pytest.raises(ValueError, match="w_format must be one of e4m3, e5m2, bf16, not 'int8'"):
        gemm(x, w, w_format="int8")
    with pytest.raises(ValueError, match="x_format must be one of e4m3, e5m2, bf16, not 'fp32'"):
        gemm(x, w, x_format=FP32)
    with pytest.raises(ValueError, match="accumulation must be one of exact, fp32, not 'fp16'"):
        gemm(x, w, accumulation="fp16")
    with pytest.raises(ValueError, match="accumulation exact takes 8-bit formats only, not bf16"):
        gemm(x, w.astype(np.uint16), w_format="bf16")
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        gemm(x, w, threads=0)
    with pytest.raises(TypeError, match=r"threads must be an int, not 1\.5"):
        gemm(x, w, threads=1.5)
    with pytest.raises(ValueError, match="initial must be None for accumulation exact"):
        gemm(x, w, initial=np.zeros((2, 4), np.float32))
    with pytest.raises(TypeError, match="initial must be float32, not float64"):
        gemm(x, w, accumulation="fp32", initial=np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"initial must be \[2, 4\], not \[4, 2\]"):
        gemm(x, w, accumulation="fp32", initial=np.zeros((4, 2), np.float32))
