"""A core's program as text."""

from pathlib import Path

from arch.core.instructions import INSTRUCTION_BYTES, QUEUES, decode, disassemble
from arch.environment import EXHAUSTED
from scripts.ground.errors import InputError

__all__ = ["disassembly"]


def disassembly(path: str) -> list[str]:
    """A line for each instruction in a file: its number, its queue, its text. InputError where the file is no program.

    A program is its instructions' 64 bytes, one behind another. That each is legal in some core is not asked.
    """
    try:
        code = Path(path).read_bytes()
    except OSError as error:
        if error.errno in EXHAUSTED:
            raise
        raise InputError(f"FILE: {path} cannot be read: {error.strerror}; needs a program") from None
    if not code or len(code) % INSTRUCTION_BYTES:
        rule = f"instructions of {INSTRUCTION_BYTES} bytes, at least one"
        raise InputError(f"FILE: {path} has {len(code)} bytes; needs {rule}")
    count = len(code) // INSTRUCTION_BYTES
    lines, queue_width = [], max(map(len, QUEUES))
    for number in range(count):
        try:
            instruction = decode(code[number * INSTRUCTION_BYTES : (number + 1) * INSTRUCTION_BYTES])
        except ValueError as error:
            raise InputError(f"FILE: {path}: instruction {number}: {error}") from None
        head = f"{number:{len(str(count - 1))}}  {instruction.queue_name:{queue_width}}"
        lines.append(f"{head}  {disassemble(instruction)}")
    return lines
