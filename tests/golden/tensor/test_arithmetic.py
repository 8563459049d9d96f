"""The arithmetic of a PE and of the read-out against Python integers and fractions."""

from fractions import Fraction

import numpy as np
import pytest
from operands import bit_patterns, rng

from arch.formats import BF16, FORMATS, FP32
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import operand_layout, product_layout, psum_layout
from arch.tensor.presets import PRESETS
from golden.numerics.conversions import decode, encode
from golden.numerics.scalar import exact_value, fma, round_value
from golden.tensor.arithmetic import add_products, decode_operands, multiply, psum_words, read_out, round_psums


def config_of(*formats, accumulation="exact", **parameters):
    return EngineConfig(rows=2, cols=2, formats=formats, accumulation=accumulation, **parameters)


EXACT = [
    config_of("e4m3", k_max=1),
    PRESETS["tiny"],
    config_of("e5m2", k_max=1),
    PRESETS["fp8"],
    config_of("e4m3", "e5m2", k_max=65536),
]
FUSED = [config_of("e4m3", accumulation="fp32"), config_of("e4m3", "e5m2", accumulation="fp32"), PRESETS["bf16"]]


def name(config):
    return f"{'+'.join(config.formats)}-{config.accumulation}-{config.k_max}"


def words_of(values, config):
    """uint32[n, words] of packed psums given as integers."""
    return np.array([[v >> 32 * i & 0xFFFFFFFF for i in range(psum_words(config))] for v in values], np.uint32)


def values_of(psums):
    return [sum(int(word) << 32 * i for i, word in enumerate(row)) for row in psums]


def random_psums(generator, count, config):
    """Random bits of every length, so that small sums and long runs of zeros and ones occur, too."""
    width = psum_layout(config).width
    values = []
    for _ in range(count):
        value = int.from_bytes(generator.bytes(16), "little") >> int(generator.integers(128 - width, 128))
        acc = -value if config.exact and generator.integers(2) else value
        values.append(acc % (1 << width))
    return values


def signed(value, bits):
    return value - (value >> bits - 1 << bits)


def payload_value(fields, config):
    return (-1) ** fields["sign"] * fields["magnitude"] * Fraction(2) ** (fields["exponent"] + config.product_lsb_exp)


@pytest.mark.parametrize("config", EXACT + FUSED, ids=name)
def test_every_operand(config):
    layout = operand_layout(config)
    for fmt in config.operand_formats:
        codes = np.arange(1 << fmt.bits).astype(f"u{fmt.bytes}")
        for code, packed in zip(codes.tolist(), decode_operands(codes, fmt, config).tolist(), strict=True):
            fields = layout.unpack(packed)
            value = exact_value(code, fmt)
            if isinstance(value, float):
                assert fields["nan"] == (value != value) and fields.get("inf", 0) == (value == value)
                assert fields["significand"] == fields["exponent"] == 0
                assert fields["sign"] == (value < 0)
                continue
            assert packed >> layout.offset("nan") == 0
            assert fields["sign"] == code >> fmt.bits - 1
            magnitude = fields["significand"] * Fraction(2) ** (fields["exponent"] + config.operand_lsb_exp)
            assert magnitude == abs(value)
            if not config.exact and value:
                assert fields["significand"] >> config.significand_bits - 1 == 1


@pytest.mark.parametrize("config", EXACT + FUSED, ids=name)
def test_products(config):
    """Every pair of 8-bit codes; random pairs of wider ones."""
    generator = rng()
    layout = product_layout(config)
    for x_format in config.operand_formats:
        for w_format in config.operand_formats:
            if max(x_format.bits, w_format.bits) == 8:
                x, w = (c.reshape(-1).astype(np.uint8) for c in np.meshgrid(np.arange(256), np.arange(256)))
            else:
                x = bit_patterns(generator, 60000, x_format.name)
                w = bit_patterns(generator, 60000, w_format.name)
                # Specials are rare among 16-bit patterns.
                x[:500], w[250:750] = x_format.inf or x_format.nan, 0
            payloads = multiply(
                decode_operands(x, x_format, config), decode_operands(w, w_format, config), config
            ).astype(np.int64)

            def field(key, payloads=payloads):
                return payloads >> layout.offset(key) - 2 & (1 << layout.fields[key]) - 1

            xv, wv = decode(x, x_format).astype(np.float64), decode(w, w_format).astype(np.float64)
            with np.errstate(invalid="ignore"):
                expected = xv * wv  # exact: 16 significant bits
            finite = np.isfinite(expected)
            magnitude = np.ldexp(field("magnitude").astype(np.float64), field("exponent") + config.product_lsb_exp)
            value = np.where(field("sign") != 0, -magnitude, magnitude)
            assert (value[finite].view(np.uint64) == expected[finite].view(np.uint64)).all()
            assert (field("magnitude")[~finite] == 0).all()
            nan = np.isnan(expected)
            assert (field("sign")[nan] == 0).all()
            if config.exact:
                flags = np.where(expected == np.inf, 1, np.where(expected == -np.inf, 2, 3 * nan))
                assert (field("special") == flags % (1 << config.special_bits)).all()
            else:
                assert (field("nan") == nan).all()
                if config.has_inf:
                    assert (field("inf") == np.isinf(expected)).all()
                    assert (field("sign") == np.where(nan, 0, np.signbit(expected))).all()


@pytest.mark.parametrize("config", EXACT, ids=name)
def test_exact_sums(config):
    generator = rng()
    layout, product = psum_layout(config), product_layout(config)
    psums = random_psums(generator, 4000, config)
    payloads = generator.integers(0, 1 << product.width - 2, len(psums), dtype=np.uint64)
    # The ends of the range, and a magnitude of zero with either sign.
    edges = [0, 1, (1 << config.acc_bits - 1) - 1, 1 << config.acc_bits - 1, (1 << config.acc_bits) - 1]
    ends = [product.pack(magnitude=m, exponent=e, sign=s) >> 2 for m in (0, 1, 49) for e in (0, 31) for s in (0, 1)]
    psums += [e for e in edges for _ in ends]
    payloads = np.concatenate([payloads, np.array(len(edges) * ends, np.uint64)])
    sums = values_of(add_products(words_of(psums, config), payloads, config))
    for before, payload, after in zip(psums, payloads.tolist(), sums, strict=True):
        term = product.unpack(payload << 2)
        old, new = layout.unpack(before), layout.unpack(after)
        step = (-1) ** term["sign"] * (term["magnitude"] << term["exponent"])
        assert new["acc"] == (old["acc"] + step) % (1 << config.acc_bits)
        assert new["special"] == old["special"] | term["special"]


@pytest.mark.parametrize("config", EXACT, ids=name)
def test_exact_sums_are_rounded_once(config):
    generator = rng()
    layout = psum_layout(config)
    psums = random_psums(generator, 4000, config)
    for length in range(1, config.acc_bits):
        # Around ties: a leading one, a half of the last place, and one unit to either side.
        for low in (0, 1, 1 << max(0, length - 25), 3 << max(0, length - 25)):
            for offset in (-1, 0, 1):
                value = (1 << length - 1) + low + offset
                psums += [value % (1 << config.acc_bits), -value % (1 << config.acc_bits)]
    codes = round_psums(words_of(psums, config), config)
    for psum, code in zip(psums, codes.tolist(), strict=True):
        fields = layout.unpack(psum)
        value = signed(fields["acc"], config.acc_bits) * Fraction(2) ** config.product_lsb_exp
        if fields["special"]:
            flags = fields["special"] if config.has_inf else 3
            assert code == {1: 0x7F800000, 2: 0xFF800000, 3: FP32.nan}[flags]
        else:
            assert code == round_value(value, FP32)


def fused_cases(generator, count):
    """bf16 factors and an fp32 addend of a like exponent, or of any: rounding, cancellation, underflow, overflow."""
    x, w = bit_patterns(generator, count, "bf16"), bit_patterns(generator, count, "bf16")
    exponents = (x >> 7 & 255).astype(np.int64) + (w >> 7 & 255) - 127 + generator.integers(-30, 31, count)
    acc = np.clip(exponents, 0, 254).astype(np.uint32) << 23 | generator.integers(0, 1 << 23, count, dtype=np.uint32)
    acc |= generator.integers(0, 2, count, dtype=np.uint32) << 31
    acc[::5] = bit_patterns(generator, acc[::5].size, "fp32")
    directed = [0x0000, 0x8000, 0x0001, 0x8001, 0x3F80, 0xBF80, 0x0080, 0x7F7F, 0xFF7F, 0x7F80, 0xFF80, 0x7FC1, 0x2000]
    sums = [0, 1 << 31, 1, 0x80000001, 0x3F800000, 0xBF800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000, FP32.nan]
    corners = np.array([(a, b, c) for a in directed for b in directed for c in sums])
    x, w = (np.concatenate([r, d.astype(np.uint16)]) for r, d in ((x, corners[:, 0]), (w, corners[:, 1])))
    return x, w, np.concatenate([acc, corners[:, 2].astype(np.uint32)])


def test_fused_sums():
    config = PRESETS["bf16"]
    x, w, acc = fused_cases(rng(), 20000)
    products = multiply(decode_operands(x, "bf16", config), decode_operands(w, "bf16", config), config)
    sums = add_products(acc[:, None], products, config)[:, 0]
    expected = [fma(a, b, c, BF16, BF16) for a, b, c in zip(x.tolist(), w.tolist(), acc.tolist(), strict=True)]
    assert sums.tolist() == expected
    # A product rounded before the addition is a different machine, and these cases tell.
    with np.errstate(all="ignore"):
        twice = np.float32(decode(x, "bf16") * decode(w, "bf16")) + acc.view(np.float32)
    assert (twice.view(np.uint32) != sums).sum() > 100


@pytest.mark.parametrize("config", FUSED[:2], ids=name)
def test_fused_sums_of_narrow_formats(config):
    generator = rng()
    for x_format in config.operand_formats:
        for w_format in config.operand_formats:
            x, w = bit_patterns(generator, 4000, x_format.name), bit_patterns(generator, 4000, w_format.name)
            acc = generator.integers(100, 150, 4000, dtype=np.uint32) << 23 | generator.integers(
                0, 1 << 23, 4000, dtype=np.uint32
            )
            products = multiply(decode_operands(x, x_format, config), decode_operands(w, w_format, config), config)
            sums = add_products(acc[:, None], products, config)[:, 0]
            cases = zip(x.tolist(), w.tolist(), acc.tolist(), strict=True)
            assert sums.tolist() == [fma(a, b, c, x_format, w_format) for a, b, c in cases]


@pytest.mark.parametrize("saturate", (False, True))
@pytest.mark.parametrize("fmt", FORMATS)
def test_results_are_narrowed_as_encode_does(fmt, saturate):
    config = PRESETS["bf16"]
    generator = rng()
    codes = bit_patterns(generator, 200000, "fp32")
    codes[:6] = 0x7F800000, 0xFF800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800001, 0xFFC00000
    # Every narrow number, the midpoints between neighbours, and the codes to either side.
    if fmt != "fp32":
        values = decode(np.arange(1 << FORMATS[fmt].bits).astype(f"u{FORMATS[fmt].bytes}"), fmt).astype(np.float64)
        values = np.unique(values[np.isfinite(values)])
        points = np.concatenate([values, (values[1:] + values[:-1]) / 2]).astype(np.float32).view(np.uint32)
        codes = np.concatenate([codes, points, points - np.uint32(1), points + np.uint32(1)])
    rounded = codes.copy()
    rounded[(codes & 0x7FFFFFFF) > 0x7F800000] = FP32.nan
    expected = encode(rounded.view(np.float32), fmt, saturate=saturate)
    assert (read_out(rounded[:, None], config, fmt, saturate=saturate) == expected).all()


def test_shapes_broadcast_and_nothing_is_overwritten():
    config = PRESETS["tiny"]
    x = decode_operands(np.arange(6, dtype=np.uint8).reshape(2, 3), "e4m3", config)
    w = decode_operands(np.uint8(0x38), "e4m3", config)
    psums = np.zeros((3, 2), np.uint32)
    sums = add_products(psums, multiply(x, w, config), config)
    assert sums.shape == (2, 3, 2) and not psums.any()
    assert (
        round_psums(sums, config).view(np.float32) == decode(np.arange(6, dtype=np.uint8), "e4m3").reshape(2, 3)
    ).all()


def test_one_operand_broadcasts_without_a_warning():
    config = PRESETS["tiny"]
    one = decode_operands(np.array([0x38], np.uint8), "e4m3", config)
    assert multiply(one[:, None], one, config).tolist() == [[multiply(one, one, config)[0]]]


def test_refusals():
    tiny = PRESETS["tiny"]
    with pytest.raises(ValueError, match="format must be one of e4m3, not 'bf16'"):
        decode_operands(np.zeros(1, np.uint16), "bf16", tiny)
    with pytest.raises(TypeError, match="codes must be uint8 codes of e4m3, not uint16"):
        decode_operands(np.zeros(1, np.uint16), "e4m3", tiny)
    with pytest.raises(TypeError, match="w_operands must be uint32, not int64"):
        multiply(np.zeros(1, np.uint32), np.zeros(1, np.int64), tiny)
    with pytest.raises(TypeError, match="products must be uint64, not uint32"):
        add_products(np.zeros((1, 2), np.uint32), np.zeros(1, np.uint32), tiny)
    with pytest.raises(TypeError, match="psums must be uint32, not int64"):
        round_psums(np.zeros((1, 2), np.int64), tiny)
    with pytest.raises(ValueError, match=r"psums must have 2 words along the last axis, not shape \(1, 3\)"):
        round_psums(np.zeros((1, 3), np.uint32), tiny)
