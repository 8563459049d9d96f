"""The bench of what a core takes for legal: instructions near to what it refuses, of each kind."""

from collections.abc import Iterator

import numpy as np

from arch.core.config import CoreConfig
from arch.core.instructions import INSTRUCTION_BYTES, INSTRUCTIONS, OPCODES, Instruction, encode, instruction_layout
from arch.core.rules import is_legal
from arch.record import Field
from hw.core.legal import Legal
from verif.simulation.unit_bench import UnitBench

__all__ = ["codes_near_rules", "legal_bench"]

#: Instructions of a bench.
CODES = 60_000
#: Where walks begin: what is rarely come by.
STARTS = {
    "dma": [
        Instruction("dma"),
        Instruction("dma", indirect="source", sink_space="sbuf", index_limit=9, sink_lane=1),
        Instruction("dma", indirect="sink", source_space="sbuf", index_limit=9, source_address=1 << 17),
    ],
    "matmul": [Instruction("matmul"), Instruction("matmul", depth=100, count0=7, count1=30)],
    "vector": [
        Instruction("vector", write="yes"),
        Instruction("vector", write="yes", x_type="u32", y_type="u32"),
        Instruction("vector", reduce="max", op0="add", a_kind="tensor", t_type="fp32", mask="equal", count2=2),
        Instruction("vector", write="yes", op1="add", b_kind="tensor", op0="max", a_kind="lane", y_type="fp32"),
    ],
    "scalar": [
        Instruction("scalar", write="yes", count1=3),
        Instruction("scalar", sum="yes", scale_kind="lane", bias_kind="lane"),
    ],
}


def _mutated(rng: np.random.Generator, kind: str, code: int) -> int:
    """A field or two that are different: by a bit, at a bound, a small number, or anything; seldom a bit anywhere."""
    layout = instruction_layout(kind)
    for _ in range(int(rng.integers(1, 4))):
        entry = INSTRUCTIONS[kind][int(rng.integers(len(INSTRUCTIONS[kind])))]
        if rng.random() < 0.03:
            code ^= 1 << int(rng.integers(512))
            continue
        shift, mask = layout.offset(entry.name), (1 << entry.width) - 1
        old = code >> shift & mask
        value = (
            old ^ 1 << int(rng.integers(entry.width)),
            old & old - 1 if old else 0,
            int(rng.choice((entry.low, entry.high))) + int(rng.integers(-1, 2)),
            int(rng.integers(9)),
            0,
            int(rng.integers(1 << 62)),
            4 * int(rng.integers(1 << 60)) & (1 << int(rng.integers(1, 41))) - 1,
        )[int(rng.integers(7))]
        code = code & ~(mask << shift) | (value & mask) << shift
    return code


def _is_legal(code: int, config: CoreConfig) -> bool:
    return is_legal(code.to_bytes(64, "little"), config)


def codes_near_rules(config: CoreConfig, rng: np.random.Generator, count: int) -> Iterator[tuple[int, bool]]:
    """Codes, each with whether it is legal: a walk over legal instructions of each kind, and all steps off it."""
    starts = {kind: [int.from_bytes(encode(each), "little") for each in some] for kind, some in STARTS.items()}
    assert all(_is_legal(code, config) for codes in starts.values() for code in codes)
    path = {}
    kinds = list(OPCODES)
    for _ in range(count):
        kind = kinds[int(rng.integers(len(kinds)))]
        if kind not in path or rng.random() < 0.01:
            path[kind] = starts[kind][int(rng.integers(len(starts[kind])))]
        code = _mutated(rng, kind, path[kind])
        if rng.random() < 0.02:
            code = int.from_bytes(rng.bytes(64), "little")
        legal = _is_legal(code, config)
        if legal and code & 15 == OPCODES[kind]:
            path[kind] = code
        yield code, legal


def legal_bench(config: CoreConfig) -> UnitBench:
    """Random instructions and what ``arch.core.rules`` says of each."""

    def values(rng: np.random.Generator) -> dict[str, np.ndarray]:
        codes, legal = zip(*codes_near_rules(config, rng, CODES), strict=True)
        text = b"".join(code.to_bytes(INSTRUCTION_BYTES, "little") for code in codes)
        words = np.frombuffer(text, np.uint32).reshape(len(codes), -1)
        return {"i_code": words, "o_legal": np.array(legal, np.uint32)}

    fields = Field("i_code", 8 * INSTRUCTION_BYTES, drive=True), Field("o_legal", 1)
    return UnitBench(name="legal", block=lambda: Legal(config), fields=fields, values=values)
