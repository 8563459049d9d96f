"""What a core takes for legal, against the decoder and the rules of ``arch.core``, near to what they refuse."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Cat, Module
from amaranth.sim import Simulator

from arch.core.config import CoreConfig
from arch.core.instructions import INSTRUCTIONS, OPCODES, Instruction, encode, instruction_layout
from arch.core.presets import CORES
from arch.core.rules import is_legal
from hw.core.legal import Legal

SEED = 71
#: A core of every type, and one of few, with as many queues as can be and with one.
CONFIGS = {
    "bf16": CORES["bf16"],
    "tiny": replace(CORES["tiny"], dma_queues=4),
    "one": replace(CORES["fp8"], dma_queues=1),
}
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


class _Seen(Legal):
    """With the rules that are broken in sight, and one of them taken out if asked to."""

    def __init__(self, config: CoreConfig, dropped: tuple[str, int] | None = None):
        super().__init__(config)
        self.dropped = dropped

    def _rules(self, kind: str) -> list:
        rules = super()._rules(kind)
        if self.dropped and self.dropped[0] == kind:
            del rules[self.dropped[1]]
        return rules


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


def _stimulus(config: CoreConfig, seed: int, count: int):
    """Codes, each with whether it is legal: a walk over legal instructions of each kind, and all steps off it."""
    rng = np.random.default_rng(seed)
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


def _compare(config: CoreConfig, seed: int, count: int, dropped=None) -> tuple[dict, dict]:
    """How often each rule was broken alone, by kind; how many codes of it were legal."""
    print(f"seed {seed}")
    block, module = _Seen(config, dropped), Module()
    module.submodules.block = block
    alone, legal_codes = {}, dict.fromkeys(OPCODES, 0)
    names = {opcode: kind for kind, opcode in OPCODES.items()}

    async def bench(ctx):
        for code, legal in _stimulus(config, seed, count):
            ctx.set(block.i_code, code)
            assert ctx.get(block.o_legal) == legal, hex(code)
            kind = names.get(code & 15)
            legal_codes[kind] = legal_codes.get(kind, 0) + legal
            if kind and not legal:
                bits = ctx.get(Cat(~rule for rule in block.rules[kind]))
                if bits & bits - 1 == 0:
                    alone[kind, bits.bit_length() - 1] = alone.get((kind, bits.bit_length() - 1), 0) + 1

    simulator = Simulator(module)
    simulator.add_testbench(bench)
    simulator.run()
    return {(kind, n): alone.get((kind, n), 0) for kind in OPCODES for n in range(len(block.rules[kind]))}, legal_codes


@pytest.mark.slow
def test_every_rule_is_what_refuses_some_instruction():
    alone, legal = _compare(CONFIGS["bf16"], SEED, 40_000)
    assert min(alone.values()) > 0, [rule for rule, times in alone.items() if not times]
    assert min(legal[kind] for kind in OPCODES) > 1000, legal


@pytest.mark.parametrize("name", ["one", "tiny"])
def test_other_cores(name):
    _compare(CONFIGS[name], SEED + 1, 4000)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_many_instructions(name):
    _compare(CONFIGS[name], SEED + 2, 150_000)


@pytest.mark.parametrize("dropped", [("dma", 13), ("matmul", 11), ("vector", 9), ("scalar", -1)])
def test_a_rule_that_is_missing_is_seen(dropped):
    with pytest.raises(AssertionError, match="assert 1 == False"):
        _compare(CONFIGS["bf16"], SEED, 40_000, dropped)
