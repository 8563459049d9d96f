"""What makes one instruction legal in a core, beyond the ranges of its fields."""

from dataclasses import replace

from arch.core.accesses import Access, accesses, overlap
from arch.core.config import WORD_BYTES, CoreConfig
from arch.core.instructions import ADDRESS_BITS, MEMORY_BITS, QUEUES, Instruction, decode
from arch.elements import ELEMENTS
from arch.formats import FP32

__all__ = ["check_fields", "check_instruction", "is_legal"]

#: Addresses that an instruction can name in a lane of SBUF.
LANE_ADDRESSES = 1 << ADDRESS_BITS
#: Where an instruction has the core that it was found to be legal in.
_LEGAL_IN = "_legal_in"


def check_instruction(instruction: Instruction, config: CoreConfig) -> None:
    """Raise ValueError, with the rule and the value that breaks it, unless an instruction is legal by itself.

    Fields that mean nothing in it, a pattern that is not used say, may hold anything.
    """
    # Whoever builds a program asks, whoever checks it for races, and whoever runs it: an instruction never changes.
    if vars(instruction).get(_LEGAL_IN) is config:
        return
    check_fields(instruction, config)
    found = accesses(instruction, config)
    for access in found:
        _check_range(access, config)
    _check_overlaps({access.operand: access for access in found}, instruction)
    object.__setattr__(instruction, _LEGAL_IN, config)


def check_fields(instruction: Instruction, config: CoreConfig) -> None:
    """The same but for where its elements lie: what the core itself checks before an instruction leaves for its queue.

    What lies outside of SBUF or of the program's memory stops it when it gets there; what overlaps goes unseen.
    """
    fields = instruction.fields
    _require(fields["lanes"] <= config.lanes, f"lanes must be at most {config.lanes}", fields["lanes"])
    for queue in QUEUES:
        absent, own = queue not in config.queues, queue == instruction.queue_name
        if absent or own:
            why = "which is its own queue" if own else "a queue that the core has not"
            _require(not instruction.wait(queue), f"wait_{queue} must be 0, {why}", instruction.wait(queue))
    _CHECKS[instruction.name](instruction, config)


def is_legal(each: Instruction | bytes, config: CoreConfig) -> bool:
    """Whether a core lets an instruction, or its bytes, which may be none, go to its queue."""
    try:
        check_fields(decode(each) if isinstance(each, bytes) else each, config)
    except ValueError:
        return False
    return True


def _require(holds: bool, rule: str, value: object) -> None:
    if not holds:
        raise ValueError(f"{rule}, not {value}")


def _check_multiple(instruction: Instruction, field: str, unit: int) -> None:
    value = instruction.fields[field]
    _require(value % unit == 0, f"{field} must be a multiple of {unit}", value)


def _check_elements(instruction: Instruction, name: str, strides: dict[str, bool]) -> None:
    """Elements lie at multiples of their size: the address, and the strides that count."""
    size = ELEMENTS[instruction.named(f"{name}_type")].bytes
    _check_multiple(instruction, f"{name}_address", size)
    for field, counts in strides.items():
        if counts:
            _check_multiple(instruction, field, size)


def _check_lane_operand(instruction: Instruction, name: str) -> None:
    """A word that is the address of a value in each lane."""
    _check_multiple(instruction, name, WORD_BYTES)
    address = instruction.fields[name]
    _require(address < LANE_ADDRESSES, f"{name} must be at most {LANE_ADDRESSES - 1} where it is an address", address)


def _check_pattern(instruction: Instruction, name: str) -> None:
    counts = {f"{name}_stride{dim}": instruction.fields[f"count{dim}"] > 1 for dim in range(3)}
    _check_elements(instruction, name, counts)


def _check_range(access: Access, config: CoreConfig) -> None:
    found = f"{access.first}..{access.last}"
    if access.space == "sbuf":
        rule = f"{access.operand} must lie in bytes 0..{config.lane_bytes - 1} of its lanes"
        _require(access.first >= 0 and access.last < config.lane_bytes, rule, found)
    else:
        rule = f"{access.operand} must lie in bytes 0..{(1 << MEMORY_BITS) - 1} of memory"
        _require(access.first >= 0 and access.last < 1 << MEMORY_BITS, rule, found)


def _check_overlaps(found: dict[str, Access], instruction: Instruction) -> None:
    """No byte is written twice, and what is streamed lies on what it comes from exactly or not at all."""
    written = [access for access in found.values() if access.writes]
    for access in written:
        if access.operand == "sink" and instruction.named("indirect") == "sink":
            # Which of the rows are written is known when it runs.
            access = replace(access, dims=access.dims[1:])
        _require(access.is_apart, f"{access.operand} must have each element at bytes of its own", _where(access))
    for name, sources in (("sink", ("source",)), ("y", ("x", "t"))):
        for source in sources:
            if name in found and source in found:
                place, other = found[name], found[source]
                holds = place.same_place(other) or not overlap(place, other)
                rule = f"{name} must lie exactly on {source} or apart from it"
                _require(holds, rule, f"{_where(place)} with {source} {_where(other)}")
    if "r" in found and "y" in found:
        rule = "r must lie apart from y"
        _require(not overlap(found["r"], found["y"]), rule, f"{_where(found['r'])} with y {_where(found['y'])}")


def _where(access: Access) -> str:
    return f"at {access.first}..{access.last}"


def _check_dma(instruction: Instruction, config: CoreConfig) -> None:
    fields, indirect = instruction.fields, instruction.named("indirect")
    _require(fields["queue"] < config.dma_queues, f"queue must be 0..{config.dma_queues - 1}", fields["queue"])
    for side in ("source", "sink"):
        space, transposed = instruction.named(f"{side}_space"), instruction.named(f"{side}_transposed") == "yes"
        if space == "sbuf":
            lane = fields[f"{side}_lane"]
            rule = f"{side}_lane must be at most {config.lanes - fields['lanes']}"
            _require(lane + fields["lanes"] <= config.lanes, rule, lane)
            _require(not fields[f"{side}_pitch"], f"{side}_pitch must be 0 in SBUF", fields[f"{side}_pitch"])
            _require(not transposed, f"{side}_transposed must be no in SBUF", "yes")
            rule = f"{side}_address must be at most {LANE_ADDRESSES - 1} in SBUF"
            _require(fields[f"{side}_address"] < LANE_ADDRESSES, rule, fields[f"{side}_address"])
        if side == indirect:
            _require(space == "memory", f"{side}_space must be memory where it is indirect", space)
            _require(not transposed, f"{side}_transposed must be no where it is indirect", "yes")
        elif indirect != "none":
            _require(space == "sbuf", f"{side}_space must be sbuf where {indirect} is indirect", space)
        _check_multiple(instruction, f"{side}_address", WORD_BYTES)
        if fields["count0"] > 1 if transposed else fields["lanes"] > 1 or side == indirect:
            _check_multiple(instruction, f"{side}_pitch", WORD_BYTES)
        if fields["count1"] > 1:
            _check_multiple(instruction, f"{side}_stride", WORD_BYTES)
    if indirect != "none":
        _check_multiple(instruction, "index_address", WORD_BYTES)
        _require(fields["index_limit"] > 0, "index_limit must be above 0 where a side is indirect", 0)


def _check_matmul(instruction: Instruction, config: CoreConfig) -> None:
    fields, engine = instruction.fields, config.engine
    for name in "wx":
        chosen = instruction.named(f"{name}_type")
        _require(chosen in engine.formats, f"{name}_type must be {' or '.join(engine.formats)}", chosen)
    rows = fields["count0"] * fields["count1"]
    _require(rows <= engine.psum_depth, f"count0 * count1 must be at most {engine.psum_depth}, PSUM's rows", rows)
    if engine.exact:
        _require(fields["depth"] <= engine.k_max, f"depth must be at most {engine.k_max}", fields["depth"])
    tiles = fields["depth"] > config.lanes
    _check_elements(instruction, "w", {"w_stride": fields["depth"] > 1, "w_tile_stride": tiles})
    moving = {f"x_stride{dim}": fields[f"count{dim}"] > 1 for dim in range(2)}
    _check_elements(instruction, "x", moving | {"x_tile_stride": tiles})


def _check_vector(instruction: Instruction, config: CoreConfig) -> None:
    fields = instruction.fields
    writes, reduces = instruction.named("write") == "yes", instruction.named("reduce") != "none"
    _require(writes or reduces, "write must be yes where reduce is none", "no")
    kinds = {name: instruction.named(f"{name}_kind") for name in "ab"}
    for name, operation in (("a", "op0"), ("b", "op1")):
        if instruction.named(operation) == "bypass":
            rule = f"{name}_kind must be immediate where {operation} is bypass"
            _require(kinds[name] == "immediate", rule, kinds[name])
        elif kinds[name] == "lane":
            _check_lane_operand(instruction, name)
    tensor = list(kinds.values()).count("tensor")
    _require(tensor < 2, "a_kind and b_kind must not both be tensor", "tensor and tensor")
    if instruction.named("x_source") == "sbuf" and instruction.named("x_type") == "u32":
        _check_unsigned(instruction)
    elif writes:
        _require(instruction.named("y_type") != "u32", "y_type must be a number format where x is not u32", "u32")
    if instruction.named("mask") != "none":
        magnitude = fields["fill"] & (1 << FP32.bits - 1) - 1
        holds = magnitude <= FP32.inf or fields["fill"] == FP32.nan
        _require(holds, f"fill must be no NaN but {FP32.nan:#x}", f"{fields['fill']:#x}")
    if tensor:
        _require(instruction.named("t_type") != "u32", "t_type must be a number format", "u32")
        _check_pattern(instruction, "t")
    _check_streams(instruction, writes, reduces)


def _check_unsigned(instruction: Instruction) -> None:
    """u32 is moved and never computed with."""
    plain = {"op0": "bypass", "op1": "bypass", "absolute": "no", "mask": "none", "reduce": "none", "y_type": "u32"}
    for field, value in plain.items():
        found = instruction.named(field)
        _require(found == value, f"{field} must be {value} where x is u32", found)


def _check_scalar(instruction: Instruction, config: CoreConfig) -> None:
    writes, sums = instruction.named("write") == "yes", instruction.named("sum") == "yes"
    _require(writes or sums, "write must be yes where sum is no", "no")
    for name in ("scale", "bias"):
        if instruction.named(f"{name}_kind") == "lane":
            _check_lane_operand(instruction, name)
    for name, used in (("x", instruction.named("x_source") == "sbuf"), ("y", writes)):
        if used:
            _require(instruction.named(f"{name}_type") != "u32", f"{name}_type must be a number format", "u32")
    _check_streams(instruction, writes, sums)


def _check_streams(instruction: Instruction, writes: bool, reduces: bool) -> None:
    """Where x and y lie, and what is reduced."""
    if instruction.named("x_source") == "sbuf":
        _check_pattern(instruction, "x")
    if writes:
        _check_pattern(instruction, "y")
    if reduces:
        _check_multiple(instruction, "r_address", WORD_BYTES)


_CHECKS = {"dma": _check_dma, "matmul": _check_matmul, "vector": _check_vector, "scalar": _check_scalar}
