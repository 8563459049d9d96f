"""The parameters of a tensor engine, and every width and latency that follows from them."""

import hashlib
from dataclasses import dataclass
from operator import index

from arch.formats import ACCUMULATIONS, FORMATS, OPERAND_FORMATS, Format

__all__ = ["ADD_LATENCIES", "EngineConfig"]

#: Cycles that an fp32 sum may take from one row to the next.
ADD_LATENCIES = (1, 2, 3, 4, 5)


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """What a tensor engine is built for.

    Parameters
    ----------
    rows, cols : int
        Contraction lanes R and output lanes C of the array, 1..256 each.
    formats : tuple of str
        Operand formats, a non-empty subset of ``OPERAND_FORMATS``. Each pass picks any pair of them.
    accumulation : str
        ``"exact"`` (FP8 formats only) or ``"fp32"``.
    k_max : int
        The longest contraction the exact accumulator holds without overflow, 1..65536.
    psum_depth : int
        Rows of PSUM memory under each column, a power of two. A row holds one partial sum per column.
    product_latency : int
        Cycles from the operand register of a PE to what its adder takes: 1, the product, or 2, the product of an exact
        sum aligned. A PSUM row is read as many cycles before its sum is added to.
    add_latency : int
        Cycles a partial sum takes from one row to the next: 1, or under fp32 accumulation 1..5.
    readout_latency : int
        Cycles from the PSUM read of the last column to the rounded row on the result port, 4..11.
    integer_operands : bool
        Exact accumulation of formats whose numbers are integers of at most 18 bits (``e4m3``): the array's edges
        decode them to that, and a PE is one integer multiplication, made for hard multipliers, and an addition.

    rows_per_load_cycle : int
        Weight rows in a beat of the weight stream, 1..rows: as many load in a cycle. The last beat of a tile may be
        filled in part. Each column has as many weight pipes; powers of two need no divider in the sequencer.

    Latencies and rows per load cycle change the time, never a result.

    Raises
    ------
    TypeError, ValueError
        With the rule and the offending value.
    """

    rows: int
    cols: int
    formats: tuple[str, ...]
    accumulation: str
    k_max: int = 16384
    psum_depth: int = 1024
    product_latency: int = 1
    add_latency: int = 1
    readout_latency: int = 4
    integer_operands: bool = False
    rows_per_load_cycle: int = 1

    #: The most activation rows one pass may have: the M tile.
    MAX_TILE_M = 512
    #: The widest integer operand: what the hard multipliers of most FPGAs take.
    MAX_INTEGER_BITS = 18

    def __post_init__(self) -> None:
        self._set_integer("rows", 1, 256)
        self._set_integer("cols", 1, 256)
        self._set_integer("k_max", 1, 65536)
        self._set_integer("psum_depth", 1, 65536)
        self._set_integer("product_latency", 1, 2)
        self._set_integer("add_latency", ADD_LATENCIES[0], ADD_LATENCIES[-1])
        self._set_integer("readout_latency", 4, 11)
        if not isinstance(self.integer_operands, bool):
            raise TypeError(f"integer_operands must be a bool, not {self.integer_operands!r}")
        self._set_integer("rows_per_load_cycle", 1, self.rows)
        if not isinstance(self.formats, tuple):
            raise TypeError(f"formats must be a tuple of names, not {self.formats!r}")
        for name in self.formats:
            if name not in OPERAND_FORMATS:
                raise ValueError(f"formats must be among {', '.join(OPERAND_FORMATS)}, not {name!r}")
        if not self.formats or len(set(self.formats)) != len(self.formats):
            raise ValueError(f"formats must name each format once and at least one, not {self.formats!r}")
        # One order, so that equal sets give equal hardware.
        object.__setattr__(self, "formats", tuple(n for n in OPERAND_FORMATS if n in self.formats))
        if self.accumulation not in ACCUMULATIONS:
            raise ValueError(f"accumulation must be exact or fp32, not {self.accumulation!r}")
        if self.accumulation == "exact" and "bf16" in self.formats:
            raise ValueError("accumulation exact takes e4m3 and e5m2 only; bf16 needs accumulation fp32")
        if not self.exact and self.product_latency != 1:
            raise ValueError(f"product_latency must be 1 under fp32 accumulation, not {self.product_latency}")
        if self.exact and self.add_latency != 1:
            raise ValueError(f"add_latency must be 1 under exact accumulation, not {self.add_latency}")
        if self.integer_operands and not self.exact:
            raise ValueError("integer_operands needs accumulation exact")
        if self.integer_operands and self._max_operand.bit_length() > self.MAX_INTEGER_BITS:
            raise ValueError(
                f"integer_operands takes formats of at most {self.MAX_INTEGER_BITS} bits as integers, not "
                f"{self._max_operand.bit_length()} as {', '.join(self.formats)} need"
            )
        if self.psum_depth & (self.psum_depth - 1):
            raise ValueError(f"psum_depth must be a power of two, not {self.psum_depth}")
        if self.psum_capacity < 1:
            raise ValueError(
                f"psum_depth must exceed the {self.drain_latency + 1} rows in flight, not {self.psum_depth}"
            )

    def _set_integer(self, name: str, low: int, high: int) -> None:
        """Make a parameter of any integer type a Python int: what is computed from it cannot overflow."""
        value = getattr(self, name)
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"{name} must be an int, not {value!r}")
        if not low <= value <= high:
            raise ValueError(f"{name} must be in {low}..{high}, not {value}")
        object.__setattr__(self, name, index(value))

    @property
    def tag(self) -> str:
        """A word for names of what is made for it: its size, and a digest of all its parameters."""
        return f"{self.rows}x{self.cols}_{hashlib.sha256(repr(self).encode()).hexdigest()[:6]}"

    # ---- formats ------------------------------------------------------------------------------

    @property
    def operand_formats(self) -> tuple[Format, ...]:
        """The formats as data, in ``OPERAND_FORMATS`` order."""
        return tuple(FORMATS[name] for name in self.formats)

    @property
    def exact(self) -> bool:
        """True for fixed-point accumulation."""
        return self.accumulation == "exact"

    @property
    def has_inf(self) -> bool:
        """True if an operand can be infinite."""
        return any(fmt.has_inf for fmt in self.operand_formats)

    @property
    def lane_format(self) -> Format:
        """The format with the widest codes: one of them fills a lane of the weight and activation streams."""
        return max(self.operand_formats, key=lambda fmt: fmt.bits)

    @property
    def code_bits(self) -> int:
        """Width of one lane of the weight and activation streams."""
        return self.lane_format.bits

    # ---- operands and products ----------------------------------------------------------------

    @property
    def significand_bits(self) -> int:
        """Width of a decoded significand, hidden bit included; of an integer operand all of it."""
        if self.integer_operands:
            return self._max_operand.bit_length()
        return 1 + max(fmt.man_bits for fmt in self.operand_formats)

    @property
    def operand_lsb_exp(self) -> int:
        """A decoded operand is ``significand * 2**(exponent + operand_lsb_exp)``.

        Exact accumulation keeps significands right-aligned, so that a product needs one shift; fp32
        accumulation normalises them (top bit set), so that the adder's window is narrow.
        """
        lsb = min(fmt.lsb_exp for fmt in self.operand_formats)
        return lsb if self.exact else lsb - (self.significand_bits - 1)

    @property
    def exponent_bits(self) -> int:
        """Width of a decoded, non-negative exponent; 0 for integer operands."""
        if self.integer_operands:
            return 0
        # The largest finite number has its significand's top bit set; see encodings.operand for the rule.
        top = max(fmt.max_exp - 1 + fmt.lsb_exp - self._alignment(fmt) for fmt in self.operand_formats)
        return (top - self.operand_lsb_exp).bit_length()

    def _alignment(self, fmt: Format) -> int:
        """Places by which a normal number's significand is moved left of the least significant bit."""
        return 0 if self.exact else self.significand_bits - 1 - fmt.man_bits

    @property
    def product_exponent_bits(self) -> int:
        """Width of the sum of two decoded exponents."""
        return 0 if self.integer_operands else self.exponent_bits + 1

    @property
    def product_lsb_exp(self) -> int:
        """A product is ``magnitude * 2**(exponent + product_lsb_exp)``."""
        return 2 * self.operand_lsb_exp

    # ---- partial sums -------------------------------------------------------------------------

    @property
    def sums_in_range(self) -> bool:
        """An fp32 sum of products, however many, is +0, Inf, NaN or of a size within ``2**-63 .. 2**65``.

        So it is with FP8. Let the size of every finite product be a multiple of ``2**low`` and less than ``2**high``.

        - *No sum but zero is below* ``2**low``. A sum of multiples of ``2**low`` is one, and stays one when it is
          rounded: float32 represents those below ``2**(low + 24)``, and larger ones become multiples of a larger unit.
        - *No sum is above* ``2**(high + 24)``. A sum that has come there does not grow, since half a unit in its last
          place is at least ``2**high``, and so more than a product. A sum below it becomes less than
          ``2**(high + 24) + 2**high``, half a unit above, which is rounded to ``2**(high + 24)`` at most.
        - *No sum is* -0. The first is +0, opposites add up to +0, other zeros to -0 only if both are -0, and by the
          first point nothing else is rounded to zero.
        """
        low = 2 * min(fmt.lsb_exp for fmt in self.operand_formats)
        high = 2 * max(fmt.max_exp - fmt.bias + 1 for fmt in self.operand_formats)
        return low >= -63 and high + 24 <= 65

    @property
    def _max_operand(self) -> int:
        """The largest magnitude of an operand, in units of ``2**operand_lsb_exp``."""
        return int(max(fmt.max_value for fmt in self.operand_formats) * 2.0**-self.operand_lsb_exp)

    @property
    def _max_product(self) -> int:
        """The largest magnitude of a product, in units of ``2**product_lsb_exp``."""
        return self._max_operand**2

    @property
    def max_product_bits(self) -> int:
        """Bits of the largest product's magnitude as an integer (exact only)."""
        return self._max_product.bit_length()

    @property
    def acc_bits(self) -> int:
        """Width of the signed fixed-point sum, in units of ``2**product_lsb_exp`` (exact only).

        Wide enough for ``k_max`` products of the largest magnitude, of either sign.
        """
        return (self._max_product * self.k_max).bit_length() + 1

    @property
    def special_bits(self) -> int:
        """Width of the sticky flags beside an exact sum: NaN alone, or (+Inf, -Inf) with NaN as both."""
        return 2 if self.has_inf else 1

    @property
    def psum_bits(self) -> int:
        """Width of one partial sum: ``acc`` and ``special``, or an fp32 code."""
        return self.acc_bits + self.special_bits if self.exact else 32

    # ---- timing -------------------------------------------------------------------------------

    def load_cycles(self, tile_k: int) -> int:
        """Beats of the weight stream, and cycles at least, that so many weight rows take."""
        return -(-index(tile_k) // self.rows_per_load_cycle)

    @property
    def store_latency(self) -> int:
        """Cycles from taking an activation row to storing column 0's partial sum in PSUM.

        Also the least between taking two rows of which the second adds to the first's PSUM row: column 0's sum is read
        a cycle after the row is taken, and a sum can be read from the cycle after its store on.
        """
        return 1 + self.product_latency + self.rows * self.add_latency

    @property
    def read_latency(self) -> int:
        """Cycles from taking an activation row of a tile's last pass to reading it out of column 0, unstalled."""
        return self.store_latency + 2

    @property
    def drain_latency(self) -> int:
        """Cycles from taking an activation row of a tile's last pass to reading it out of the last column."""
        return self.read_latency + self.cols - 1

    @property
    def psum_capacity(self) -> int:
        """PSUM rows that tiles in progress may hold so that an unstalled read-out never holds them up."""
        return self.psum_depth - (self.drain_latency + 1)

    @property
    def address_bits(self) -> int:
        """Width of the number of a PSUM row."""
        return max(1, (self.psum_depth - 1).bit_length())

    @property
    def tile_m(self) -> int:
        """The most activation rows the schedule gives one pass."""
        return min(self.MAX_TILE_M, self.psum_capacity)
