"""Where the signals of a tensor engine are in the RTL: Verilog expressions over its hierarchy.

A template names its places ``{dut}``, ``{row}`` and ``{col}``. What a tag declares not to matter is 0.
"""

from arch.record import Field
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import beat_layout
from hw.tensor.bank import store_shape

__all__ = [
    "HARD_PRODUCT",
    "REGISTERS",
    "column_stores",
    "hard_product",
    "north",
    "order",
    "order_read",
    "read",
    "read_request",
    "register",
    "seed",
    "seed_request",
    "store",
    "stored",
    "west",
]

#: Registers, over a PE's instance path ``pe``.
REGISTERS = {
    "weight": "{pe}.o_weight",
    "shadow": "{pe}.shadow",
    "active": "{pe}.active",
    "beat": "{pe}.o_beat",
    "product": "{{{pe}.product, {pe}.product_tags}}",
    "psum": "{pe}.o_psum",
}


#: A product whose magnitude has its register in a hard multiplier.
HARD_PRODUCT = "{{{pe}.product_flags, {pe}.hard_product, {pe}.product_tags}}"


def register(_: EngineConfig, field: Field, dut: str) -> str:
    """A PE's register."""
    return REGISTERS[field.name].format(pe=f"{dut}.grid.row_{field.row}.pe_{field.col}")


def hard_product(_: EngineConfig, field: Field, dut: str) -> str:
    """The product where a hard multiplier holds it."""
    return HARD_PRODUCT.format(pe=f"{dut}.grid.row_{field.row}.pe_{field.col}")


def _lane(vector: str, index: int, width: int) -> str:
    return f"{vector}[{(index + 1) * width - 1}:{index * width}]"


def west(config: EngineConfig, field: Field, dut: str) -> str:
    """A lane's beat; its operand counts where the lane is enabled."""
    low, width = field.row * beat_layout(config).width, beat_layout(config).width
    tags = beat_layout(config).offset("operand")
    beats = f"{dut}.west_edge.o_beats"
    operand = f"{beats}[{low + width - 1}:{low + tags}]"
    return f"{{{operand} & {{{width - tags}{{{beats}[{low + 1}]}}}}, {beats}[{low + tags - 1}:{low}]}}"


def north(_: EngineConfig, field: Field, dut: str) -> str:
    """A column's weights."""
    return _lane(f"{dut}.north_edge.o_weights", field.col, field.width)


def seed_request(config: EngineConfig, field: Field, dut: str) -> str:
    """A request for a seed."""
    request = f"{dut}.psum_{field.col}.i_seed"
    # Without ``adds`` there is no address.
    return f"({request}[1] ? {request} : {{{field.width - 1}'d0, {request}[0]}})"


def seed(config: EngineConfig, field: Field, dut: str) -> str:
    """A seed. It matters only to a product that is there."""
    valid = "product_tags[0]" if config.product_latency == 1 else "sum_valid"
    return f"({dut}.grid.row_0.pe_{field.col}.{valid} ? {dut}.psum_{field.col}.o_psum : {field.width}'d0)"


def column_stores(config: EngineConfig, col: int, dut: str = "dut") -> str:
    """Whether a column stores a sum in this cycle."""
    return f"{dut}.psum_{col}.i_store[{store_shape(config).size - 1}]"


def store(config: EngineConfig, field: Field, dut: str) -> str:
    """A request to store."""
    request = f"{dut}.psum_{field.col}.i_store[{field.width - 1}:0]"
    return f"({column_stores(config, field.col, dut)} ? {request} : {field.width}'d0)"


def stored(config: EngineConfig, field: Field, dut: str) -> str:
    """What the memory holds where a row was stored."""
    bank = f"{dut}.psum_{field.col}"
    address = f"{bank}.o_store[{config.address_bits}:1]"
    return f"({bank}.o_store[0] ? {bank}.memory.words[{address}] : {field.width}'d0)"


def read(_: EngineConfig, field: Field, dut: str) -> str:
    """What was read of a column."""
    return f"({dut}.readout.stages[{field.col}] ? {dut}.psum_{field.col}.o_read : {field.width}'d0)"


def order(_: EngineConfig, field: Field, dut: str) -> str:
    """The order to read a row out."""
    row = f"{dut}.sequencer.o_row"
    return f"({row}_en ? {{{row}, {row}_address, 1'b1}} : {field.width}'d0)"


def read_request(_: EngineConfig, field: Field, dut: str) -> str:
    """What the read-out requests of PSUM."""
    return f"({dut}.readout.read_en ? {{{dut}.readout.o_read_address, 1'b1}} : {field.width}'d0)"


def order_read(_: EngineConfig, field: Field, dut: str) -> str:
    """The order as the read-out finds it."""
    return f"({dut}.readout.stages[1] ? {dut}.readout.row_0 : {field.width}'d0)"
