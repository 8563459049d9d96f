"""Encoder, decoder and disassembler of instructions, and what a field takes."""

import random
import re

import pytest

from arch.core.instructions import (
    INSTRUCTION_BYTES,
    INSTRUCTIONS,
    OPCODES,
    Instruction,
    decode,
    disassemble,
    encode,
    instruction_layout,
)

SEED = 11


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_random_instructions_come_back(name):
    print(f"seed {SEED}")
    generator = random.Random(SEED)
    for _ in range(200):
        values = {}
        for entry in INSTRUCTIONS[name][1:]:
            edge = generator.choice((entry.low, entry.high, generator.randint(entry.low, entry.high)))
            values[entry.name] = entry.names[edge] if entry.names else edge
        instruction = Instruction(name, **values)
        code = encode(instruction)
        assert len(code) == INSTRUCTION_BYTES and code[0] & 15 == OPCODES[name]
        assert decode(code) == instruction
        assert decode(code).replace() == instruction
        words = dict(word.split("=") for word in disassemble(instruction).split()[1:])
        for entry in INSTRUCTIONS[name][1:]:
            value = instruction.fields[entry.name]
            text = entry.names[value] if entry.names else value
            shown = words.get(entry.name, Instruction(name).fields[entry.name] if not entry.names else entry.names[0])
            assert text == (shown if entry.names else int(str(shown), 0))


def test_signed_fields_are_twos_complement():
    layout = instruction_layout("matmul")
    code = int.from_bytes(encode(Instruction("matmul", w_stride=-2, lanes=128)), "little")
    assert layout.unpack(code)["w_stride"] == (1 << 18) - 2
    assert layout.unpack(code)["lanes"] == 128


def _broken(name, **bits):
    layout = instruction_layout(name)
    plain = layout.unpack(int.from_bytes(encode(Instruction(name)), "little"))
    return layout.pack(**(plain | bits)).to_bytes(INSTRUCTION_BYTES, "little")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (bytes(63), "an instruction must have 64 bytes, not 63"),
        (bytes(64), "opcode must be 1..4, not 0"),
        (b"\5" + bytes(63), "opcode must be 1..4, not 5"),
        (encode(Instruction("scalar"))[:-1] + b"\x80", "bits 327 and up of a scalar must be 0"),
        (_broken("vector", lanes=129), "lanes must be 1..128, not 129"),
        (_broken("vector", lanes=0), "lanes must be 1..128, not 0"),
        (_broken("matmul", depth=65537), "depth must be 1..65536, not 65537"),
        (_broken("dma", count1=0), "count1 must be 1..65535, not 0"),
        (_broken("dma", size=3), "size must be 1 or 2 or 4, not 3"),
        (_broken("vector", x_type=5), "x_type must be e4m3 or e5m2 or bf16 or fp32 or u32, not 5"),
        (_broken("vector", op0=10), "op0 must be bypass or add or subtract or "),
        (_broken("vector", reduce=7), "reduce must be none or add or max or absmax or argmax, not 7"),
    ],
)
def test_what_is_no_instruction(code, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        decode(code)


@pytest.mark.parametrize(
    ("name", "values", "error", "message"),
    [
        ("add", {}, ValueError, "an instruction must be one of dma, matmul, vector, scalar, not 'add'"),
        ("dma", {"depth": 3}, ValueError, "dma has no field depth"),
        ("dma", {"count0": 0}, ValueError, "count0 must be 1..65535, not 0"),
        ("dma", {"count0": 1.0}, TypeError, "count0 must be 1..65535, not 1.0"),
        ("dma", {"size": 4}, ValueError, "size must be 1 or 2 or 4, not 4"),
        ("vector", {"write": 1}, ValueError, "write must be no or yes, not 1"),
        ("vector", {"op0": "div"}, TypeError, "op0 must be bypass or add"),
        ("matmul", {"x_stride0": -131073}, ValueError, "x_stride0 must be -131072..131071, not -131073"),
        ("scalar", {"wait_dma0": 16}, ValueError, "wait_dma0 must be 0..15, not 16"),
    ],
)
def test_values_that_a_field_does_not_take(name, values, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        Instruction(name, **values)


def test_reading_an_instruction():
    instruction = Instruction("vector", write=True, op0="max", a=-0.0, wait_dma1=3, count0=5, x_stride0=-4)
    assert (instruction.write, instruction.op0, instruction.a, instruction.count1) == (1, 5, 1 << 31, 1)
    assert (instruction.named("op0"), instruction.named("write"), instruction.named("x_type")) == ("max", "yes", "e4m3")
    assert (instruction.wait("dma1"), instruction.wait("tensor")) == (3, 0)
    assert str(instruction) == "vector wait_dma1=3 x_stride0=-4 op0=max a=0x80000000 write=yes count0=5"
    with pytest.raises(AttributeError, match="vector has no field depth"):
        instruction.depth  # noqa: B018


def test_changing_a_field_leaves_the_others():
    instruction = Instruction("dma", size="4", queue=2, sink_stride=-8)
    changed = instruction.replace(size="2", wait_dma0=1)
    assert changed == Instruction("dma", size="2", queue=2, sink_stride=-8, wait_dma0=1)
    assert instruction.named("size") == "4"


def test_queues():
    names = [Instruction(name).queue_name for name in INSTRUCTIONS]
    assert names == ["dma0", "tensor", "vector", "scalar"]
    assert Instruction("dma", queue=3).queue_name == "dma3"
