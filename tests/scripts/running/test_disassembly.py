"""``systolith disassemble``."""

import errno
from pathlib import Path

import pytest
from given import raiser

from arch.core.instructions import Instruction, encode

pytestmark = pytest.mark.usefixtures("tensors")
PROGRAM = [
    Instruction("dma", lanes=4, size="4", count0=8, sink_space="sbuf", source_address=4096, source_pitch=-32),
    Instruction("matmul", lanes=4, wait_dma0=1, depth=4, w_stride=1),
    Instruction("vector", lanes=3, x_source="psum", op0="add", a=1.0, reduce="max", wait_scalar=2),
    Instruction("scalar", function="exp", write="yes", y_type="bf16"),
    Instruction("dma", queue=3),
]
LINES = [
    " 0  dma0    dma lanes=4 size=4 source_address=4096 source_pitch=-32 sink_space=sbuf count0=8",
    " 1  tensor  matmul lanes=4 wait_dma0=1 depth=4 w_stride=1",
    " 2  vector  vector lanes=3 wait_scalar=2 x_source=psum op0=add a=0x3f800000 reduce=max",
    " 3  scalar  scalar function=exp write=yes y_type=bf16",
    " 4  dma3    dma queue=3",
]


def test_a_line_for_each_instruction(run):
    program = PROGRAM + PROGRAM[-1:] * 7
    Path("p.bin").write_bytes(b"".join(map(encode, program)))
    code, out, err = run("disassemble", "p.bin")
    assert (code, err) == (0, "")
    assert out.splitlines()[:5] == LINES and out.splitlines()[-1] == "11  dma3    dma queue=3"
    Path("p.bin").write_bytes(encode(PROGRAM[3]))
    assert run("disassemble", "p.bin")[1] == LINES[3].replace(" 3", "0", 1) + "\n"


def test_files_that_are_no_program(refused):
    good = encode(PROGRAM[1])
    cases = [
        (b"", "FILE: p.bin has 0 bytes; needs instructions of 64 bytes, at least one"),
        (good + good[:-1], "FILE: p.bin has 127 bytes; needs instructions of 64 bytes, at least one"),
        (good + bytes(64), "FILE: p.bin: instruction 1: opcode must be 1..4, not 0"),
        (good[:-1] + b"\1", "FILE: p.bin: instruction 0: bits 221 and up of a matmul must be 0"),
        (bytes([good[0] & 15]) + bytes(63), "FILE: p.bin: instruction 0: lanes must be 1..128, not 0"),
    ]
    for contents, message in cases:
        Path("p.bin").write_bytes(contents)
        assert refused("disassemble", "p.bin") == message


def test_files_that_cannot_be_read(refused):
    assert refused("disassemble", "no.bin") == "FILE: no.bin cannot be read: No such file or directory; needs a program"
    Path("folder").mkdir()
    assert refused("disassemble", "folder") == "FILE: folder cannot be read: Is a directory; needs a program"


def test_a_machine_out_of_handles(run, monkeypatch):
    monkeypatch.setattr(Path, "read_bytes", raiser(OSError(errno.EMFILE, "Too many open files")))
    code, out, err = run("disassemble", "p.bin")
    assert (code, out) == (3, "") and "Too many open files" in err
