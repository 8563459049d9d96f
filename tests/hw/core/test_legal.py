"""What a core takes for legal, against the decoder and the rules of ``arch.core``, near to what they refuse."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import Cat, Module
from amaranth.sim import Simulator

from arch.core.config import CoreConfig
from arch.core.instructions import OPCODES
from arch.core.presets import CORES
from hw.core.legal import Legal
from verif.core.blocks.legal import codes_near_rules

SEED = 71
#: A core of every type, and one of few, with as many queues as can be and with one.
CONFIGS = {
    "bf16": CORES["bf16"],
    "tiny": replace(CORES["tiny"], dma_queues=4),
    "one": replace(CORES["fp8"], dma_queues=1),
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


def _compare(config: CoreConfig, seed: int, count: int, dropped=None) -> tuple[dict, dict]:
    """How often each rule was broken alone, by kind; how many codes of it were legal."""
    print(f"seed {seed}")
    block, module = _Seen(config, dropped), Module()
    module.submodules.block = block
    alone, legal_codes = {}, dict.fromkeys(OPCODES, 0)
    names = {opcode: kind for kind, opcode in OPCODES.items()}

    async def bench(ctx):
        for code, legal in codes_near_rules(config, np.random.default_rng(seed), count):
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
