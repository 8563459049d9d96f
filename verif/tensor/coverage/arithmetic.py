"""Counts what the arithmetic of a run did: in the PEs, in stored sums and in results."""

import numpy as np

from arch.formats import FORMATS, FP32, Format
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import product_layout
from golden.tensor.arithmetic import round_psums
from verif.coverage.points import Hits
from verif.tensor.coverage import bins
from verif.tensor.coverage.bins import within
from verif.tensor.coverage.recording import Recording, register_words, unpack
from verif.tensor.coverage.rounding import exact_sum, rounding

__all__ = ["PeSampler", "code_classes", "sample_results"]


class PeSampler:
    """Samples products and additions in the PEs of all rows but the first, whose sums come from outside the trace.

    Columns that a pass does not use add too, and their registers are compared like all others.
    """

    def __init__(self, config: EngineConfig, hits: Hits) -> None:
        self._config, self._hits = config, hits
        self._layout, self._words = product_layout(config), register_words(config)
        # A product is in its register so many cycles before the sum that it is added to is in that of the PE above.
        self._early = config.product_latency - 1
        self._waiting = np.zeros((self._early, config.rows - 1, config.cols, -(-self._layout.width // 32)), np.uint32)

    def see(self, registers: np.ndarray) -> None:
        """The PE registers of the next cycles, uint32[cycles, words]."""
        config = self._config
        pes = registers.reshape(len(registers), config.rows, config.cols, -1)
        sums = pes[:, :-1, :, self._words["psum"]]
        products = np.concatenate([self._waiting, pes[:, 1:, :, self._words["product"]]])
        self._waiting, products = products[len(sums) :], products[: len(sums)]
        adding = (unpack(products, self._layout, "valid") & unpack(products, self._layout, "enable")) == 1
        products, sums = products[adding], sums[adding]
        field = {name: unpack(products, self._layout, name) for name in self._layout.fields}
        self._sample_products(field)
        kinds, terms = self._sum_kinds(sums), self._product_kinds(field)
        self._hits.add("addends", kinds, terms)
        if not config.exact:
            self._sample_fused(sums[:, 0], field, kinds)

    def _sample_products(self, field: dict[str, np.ndarray]) -> None:
        exponents = np.where(field["magnitude"] != 0, field["exponent"], -1)
        self._hits.add("product shift", exponents)
        if not self._config.exact:
            ranges = within(bins.product_exponents(self._config), exponents)
            self._hits.add("product exponent", ranges)

    def _product_kinds(self, field: dict[str, np.ndarray]) -> np.ndarray:
        """Indices into ``terms``."""
        config, sign, zero = self._config, field["sign"], field["magnitude"] == 0
        if config.exact:
            special = field["special"]
            nan = special == (1 << config.special_bits) - 1
            inf = (special != 0) & ~nan
        else:
            nan = field["nan"] == 1
            inf = field["inf"] == 1 if config.has_inf else np.zeros_like(nan)
        return self._kinds(nan, inf, zero, sign)

    def _sum_kinds(self, sums: np.ndarray) -> np.ndarray:
        if self._config.exact:
            low, high, special = exact_parts(sums, self._config)
            nan = special == (1 << self._config.special_bits) - 1
            inf = (special != 0) & ~nan
            return self._kinds(nan, inf, (low == 0) & (high == 0), np.where(inf, special - 1, 0))
        magnitude = sums[:, 0] & 0x7FFFFFFF
        inf = FP32.inf
        return self._kinds(magnitude > inf, magnitude == inf, magnitude == 0, (sums[:, 0] >> 31).astype(np.int64))

    def _kinds(self, nan, inf, zero, sign) -> np.ndarray:
        names = bins.terms(self._config)
        position = {name: names.index(name) if name in names else -1 for name in bins.TERMS}
        kinds = np.full(len(nan), position["finite"])
        for what, pair in ((zero, ("+0", "-0")), (inf, ("+Inf", "-Inf"))):
            kinds = np.where(what, np.where(sign == 0, position[pair[0]], position[pair[1]]), kinds)
        return np.where(nan, position["NaN"], kinds)

    def _sample_fused(self, codes: np.ndarray, field: dict[str, np.ndarray], kinds: np.ndarray) -> None:
        """Alignment and rounding of finite fused multiply-adds."""
        finite = (kinds >= 0) & (codes & 0x7FFFFFFF < FP32.inf) & (field["nan"] == 0)
        if self._config.has_inf:
            finite &= field["inf"] == 0
        total = codes[finite].view(np.float32).astype(np.float64)
        sign = 1.0 - 2.0 * field["sign"][finite]
        # At most 16 bits, from 2**-280 up: exact.
        exponent = field["exponent"][finite] + self._config.product_lsb_exp
        term = np.ldexp(sign * field["magnitude"][finite], exponent)
        case, size = rounding(*exact_sum(term, total), FP32)
        self._hits.add("fp32 rounding", case, size, (term + total < 0).astype(np.int64))
        both = (total != 0) & (term != 0)
        total, term = total[both], term[both]
        distance = np.frexp(total)[1].astype(np.int64) - np.frexp(term)[1]
        limit = bins.FARTHEST
        subtract = ((total < 0) != (term < 0)).astype(np.int64)
        self._hits.add("alignment", np.clip(distance, -limit, limit) + limit, subtract)


def exact_parts(sums: np.ndarray, config: EngineConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """acc = high * 2**32 + low with 0 <= low < 2**32, and special, of packed exact sums uint32[..., words]."""
    # acc has 37 to 81 bits, special one or two above it: word 1 is always there.
    low, rest = sums[..., 0].astype(np.int64), sums[..., 1].astype(np.int64)
    if sums.shape[-1] > 2:
        rest = rest | sums[..., 2].astype(np.int64) << 32
    bits = config.acc_bits - 32
    high = rest & (1 << bits) - 1
    special = rest >> bits & (1 << config.special_bits) - 1
    return low, high - (high >> bits - 1 << bits), special


def sample_results(recording: Recording, hits: Hits) -> None:
    """Stored sums, and the results that finished ones became."""
    config, commands = recording.config, recording.commands
    row_pass = recording.row_pass
    in_use = np.arange(config.cols) < commands["tile_n"][row_pass][:, None]
    if config.exact:
        _sample_guard_bits(recording.sums[in_use], hits, config)
    finished = commands["last"][row_pass] == 1
    in_use = in_use[finished]
    sums = recording.sums[finished][in_use]
    row_pass = np.broadcast_to(row_pass[finished][:, None], in_use.shape)[in_use]
    select, saturate = commands["out_format"][row_pass], commands["saturate"][row_pass]
    if config.exact:
        _sample_read_out(sums, hits, config)
    _sample_narrowing(round_psums(sums, config), select, hits)
    _sample_codes(recording.results[in_use], select, saturate, hits)


def _sample_guard_bits(sums: np.ndarray, hits: Hits, config: EngineConfig) -> None:
    low, high, special = exact_parts(sums, config)
    # The length of a magnitude: of a negative acc that of ~acc, which is the same but for powers of two.
    negative = high < 0
    low, high = (np.where(negative, ~part, part) for part in (low, high))
    # Exact: 49 bits at most.
    length = np.where(high > 0, np.frexp(high.astype(np.float64))[1] + 32, np.frexp((low & 0xFFFFFFFF) * 1.0)[1])
    first = config.max_product_bits + 1
    hits.add("guard bits", np.where(special == 0, length - first, -1), negative.astype(np.int64))


def _sample_read_out(sums: np.ndarray, hits: Hits, config: EngineConfig) -> None:
    low, high, special = exact_parts(sums, config)
    # Both parts are exact, and so are their sum and its error.
    parts = exact_sum(high * 2.0**32, low.astype(np.float64))
    case, _ = rounding(*(np.ldexp(part, config.product_lsb_exp) for part in parts), FP32)
    hits.add("fp32 rounding", np.where(special == 0, case, -1), (high < 0).astype(np.int64))


def _sample_narrowing(codes: np.ndarray, select: np.ndarray, hits: Hits) -> None:
    values = codes.view(np.float32).astype(np.float64)
    narrow = [fmt for fmt in FORMATS.values() if fmt is not FP32]
    for index, fmt in enumerate(narrow):
        chosen = values[(select == fmt.select) & np.isfinite(values)]
        case, size = rounding(chosen, np.zeros_like(chosen), fmt)
        hits.add("narrowing", index, case, size, np.signbit(chosen).astype(np.int64))


def _sample_codes(codes: np.ndarray, select: np.ndarray, saturate: np.ndarray, hits: Hits) -> None:
    nan = bins.RESULT_CLASSES.index("NaN")
    for index, fmt in enumerate(FORMATS.values()):
        chosen = select == fmt.select
        classes = code_classes(codes[chosen], fmt)
        names = [
            bins.RESULT_CLASSES.index(name) if name in bins.RESULT_CLASSES else nan for name in bins.SIGNED_CLASSES
        ]
        hits.add("results", index, saturate[chosen], np.array(names)[classes])


def code_classes(codes: np.ndarray, fmt: Format) -> np.ndarray:
    """int64[...]: what codes of a format stand for, as indices into ``SIGNED_CLASSES``."""
    codes = codes.astype(np.int64)
    magnitude, sign = codes & (1 << fmt.bits - 1) - 1, codes >> fmt.bits - 1
    names = np.select(
        [
            magnitude == 0,
            magnitude < 1 << fmt.man_bits,
            magnitude < fmt.max_code,
            magnitude == fmt.max_code,
            magnitude == (fmt.inf or -1),
        ],
        range(5),
        5,
    )
    return len(bins.CLASSES) * sign + names
