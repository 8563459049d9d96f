"""Bit layouts of everything that crosses a port or sits in a register, least significant field first."""

from arch.formats import SELECT_BITS
from arch.layout import Layout
from arch.tensor.config import EngineConfig

__all__ = [
    "activation_layout",
    "beat_layout",
    "command_layout",
    "operand_layout",
    "order_layout",
    "pe_layouts",
    "pe_registers",
    "pipes_layout",
    "product_layout",
    "psum_layout",
    "read_layout",
    "readout_layout",
    "result_layout",
    "seed_layout",
    "store_layout",
    "weight_layout",
]


def operand_layout(config: EngineConfig) -> Layout:
    """A decoded activation or weight.

    A finite operand is ``(-1)**sign * significand * 2**(exponent + config.operand_lsb_exp)``. A zero
    significand (zero, NaN, Inf) has a zero exponent; NaN has a zero sign. Under fp32 accumulation a
    non-zero significand has its top bit set; under exact accumulation it is ``f + 2**man_bits * (e > 0)``,
    right-aligned. ``inf`` is present only where a format of the configuration has one.
    """
    inf = {"inf": 1} if config.has_inf else {}
    return Layout(significand=config.significand_bits, exponent=config.exponent_bits, sign=1, nan=1, **inf)


def beat_layout(config: EngineConfig) -> Layout:
    """What moves east from PE to PE: tags, then the activation.

    ``valid``: an activation row is passing. ``enable``: this lane takes part (implies ``valid``).
    ``swap``: the first row of a pass. ``load``: the weight now arriving from the north belongs to this row.
    """
    return Layout(valid=1, enable=1, swap=1, load=1, operand=operand_layout(config).width)


def product_layout(config: EngineConfig) -> Layout:
    """The product register: tags, then ``(-1)**sign * magnitude * 2**(exponent + config.product_lsb_exp)``.

    Exponents add, zero operands included. ``special`` is the psum's flags for this product under exact
    accumulation; under fp32 accumulation ``nan`` and ``inf`` stand apart (``inf`` takes ``sign``).
    A NaN product has ``sign`` 0 and (fp32) ``inf`` 0. A special product has magnitude 0.
    """
    payload = {
        "magnitude": 2 * config.significand_bits,
        "exponent": config.product_exponent_bits,
        "sign": 1,
    }
    if config.exact:
        payload["special"] = config.special_bits
    else:
        payload["nan"] = 1
        if config.has_inf:
            payload["inf"] = 1
    return Layout(valid=1, enable=1, **payload)


def psum_layout(config: EngineConfig) -> Layout:
    """A partial sum: an fp32 code, or a signed fixed-point sum with sticky flags that combine by OR.

    ``special``, one bit: NaN. Two bits: bit 0 +Inf seen, bit 1 -Inf seen, both NaN.
    """
    if config.exact:
        return Layout(acc=config.acc_bits, special=config.special_bits)
    return Layout(fp32=32)


def pipes_layout(config: EngineConfig) -> Layout:
    """The weights on their way in a column: an operand for each of its pipes.

    The one that the PE to the south loads from is lowest. A column of one pipe has the operand itself.
    """
    if config.rows_per_load_cycle == 1:
        return operand_layout(config)
    width = operand_layout(config).width
    return Layout(**{f"pipe_{index}": width for index in range(config.rows_per_load_cycle)})


def pe_layouts(config: EngineConfig) -> dict[str, Layout]:
    """A PE's registers, in the order of a record."""
    return {
        "weight": pipes_layout(config),
        "shadow": operand_layout(config),
        "active": operand_layout(config),
        "beat": beat_layout(config),
        "product": product_layout(config),
        "psum": psum_layout(config),
    }


def pe_registers(config: EngineConfig) -> dict[str, int]:
    """The widths of :func:`pe_layouts`."""
    return {name: layout.width for name, layout in pe_layouts(config).items()}


def seed_layout(config: EngineConfig) -> Layout:
    """A column's request for what a row adds to: a stored sum if it ``adds``, else zero, whatever the address."""
    return Layout(valid=1, adds=1, address=config.address_bits)


def store_layout(config: EngineConfig) -> Layout:
    """A column's request to store the sum that leaves the array."""
    return Layout(valid=1, address=config.address_bits)


def read_layout(config: EngineConfig) -> Layout:
    """The read-out's request for a finished row."""
    return Layout(valid=1, address=config.address_bits)


def readout_layout(config: EngineConfig) -> Layout:
    """How a row is read out: the columns in use, whether it ends its tile, ``Format.select``, ``saturate``."""
    return Layout(columns=config.cols.bit_length(), end=1, select=SELECT_BITS, saturate=1)


def order_layout(config: EngineConfig) -> Layout:
    """The order to read a PSUM row out, given when its last activation row is taken: which row, and how."""
    return Layout(valid=1, address=config.address_bits, **readout_layout(config).fields)


def weight_layout(config: EngineConfig) -> Layout:
    """Payload of ``i_weight``: ``rows_per_load_cycle`` weight rows, a code per column, row 0 and column 0 lowest."""
    return Layout(codes=config.rows_per_load_cycle * config.cols * config.code_bits)


def activation_layout(config: EngineConfig) -> Layout:
    """Payload of ``i_activation``: one activation row, a code per array row (contraction lane), lane 0 low."""
    return Layout(codes=config.rows * config.code_bits)


def command_layout(config: EngineConfig) -> Layout:
    """Payload of ``i_command``: one pass.

    tile_m : activation rows, 1..psum_depth.
    tile_k : weight rows and contraction lanes in use, 1..rows.
    tile_n : columns in use, 1..cols.
    base : PSUM row of the first activation row; row ``i`` uses ``(base + i) % psum_depth``.
    distance : activation rows between a row and the one it adds to, at most ``store_latency``.
    first, last : this is the first, the last pass of the output tile (both, for a single K tile).
    x_format, w_format : ``Format.select`` of activations and weights.
    out_format, saturate : how finished rows are read out; used where ``last`` is set.
    """
    return Layout(
        tile_m=config.psum_depth.bit_length(),
        tile_k=config.rows.bit_length(),
        tile_n=config.cols.bit_length(),
        base=config.address_bits,
        distance=config.store_latency.bit_length(),
        first=1,
        last=1,
        x_format=SELECT_BITS,
        w_format=SELECT_BITS,
        out_format=SELECT_BITS,
        saturate=1,
    )


def result_layout(config: EngineConfig) -> Layout:
    """Payload of ``o_result``: one finished row, 32 bits per column (narrow codes zero-extended), column 0 low.

    Columns from ``tile_n`` up are zero. ``last`` marks the last row of an output tile.
    """
    return Layout(codes=32 * config.cols, last=1)
