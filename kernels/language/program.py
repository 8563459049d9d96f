"""From a kernel, a function of Python, to a program of the core."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import update_wrapper

from arch.core.config import CoreConfig
from arch.core.instructions import INSTRUCTION_BYTES, Instruction, disassemble
from arch.core.rules import check_instruction
from kernels.language.errors import KernelError, Source
from kernels.language.placing import place
from kernels.language.tiles import Buffer
from kernels.language.trace import Step, Trace, tracing
from kernels.language.waits import Waits

__all__ = ["Kernel", "Place", "Program", "kernel"]


@dataclass(frozen=True, kw_only=True)
class Place:
    """A tensor in memory: row-major, each row along the last dimension padded to words.

    kind : parameter, output, scratch or constant
    strides : bytes from one index to the next, as ``shape``
    contents : of a constant
    """

    kind: str
    address: int
    bytes: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: str
    contents: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Program:
    """A kernel built for a core.

    Members
    -------
    instructions : tuple of Instruction
    sources : tuple of Source
        The line of the kernel that each comes from.
    tensors : tuple of Place
        What is in memory, the parameters first.
    tiles : tuple of Buffer
        What is in SBUF when.
    memory_bytes : int
        Of all tensors, a multiple of 256: the program may stand behind them.
    """

    config: CoreConfig
    instructions: tuple[Instruction, ...]
    sources: tuple[Source, ...]
    tensors: tuple[Place, ...]
    tiles: tuple[Buffer, ...]
    memory_bytes: int

    @property
    def code_bytes(self) -> int:
        return INSTRUCTION_BYTES * len(self.instructions)

    def of_kind(self, kind: str) -> list[Place]:
        """The tensors of a kind, in the order in which the kernel made them."""
        return [tensor for tensor in self.tensors if tensor.kind == kind]

    def listing(self) -> str:
        """A line for each instruction: its number, its queue, where it comes from, its text."""
        return "\n".join(
            f"{number:5}  {instruction.queue_name:6}  {source}  {disassemble(instruction)}"
            for number, (instruction, source) in enumerate(zip(self.instructions, self.sources, strict=True))
        )


class Kernel:
    """A function that is built into a program: each call of the language in it becomes an instruction or a few."""

    def __init__(self, function: Callable) -> None:
        self._function = function
        update_wrapper(self, function)

    def __call__(self, *arguments: object, **constants: object) -> object:
        """Within another kernel: its instructions are put there."""
        return self._function(*arguments, **constants)

    def build(
        self, config: CoreConfig, parameters: Sequence[tuple[Sequence[int], str]], **constants: object
    ) -> Program:
        """The program for parameters of some shapes and dtypes.

        Raises KernelError for a mistake in the kernel, with the line that it is made at.
        """
        trace = Trace(config)
        with tracing(trace):
            tensors = [trace.tensor("parameter", tuple(map(int, shape)), dtype) for shape, dtype in parameters]
            self._function(*tensors, **constants)
            code = self._function.__code__
            trace.finish()
            if not trace.steps:
                raise KernelError("a kernel must do something", Source(code.co_filename, code.co_firstlineno))
        place(trace.buffers, config)
        steps = [*trace.prologue, *trace.steps]
        return Program(
            config=config,
            instructions=_instructions(steps, config),
            sources=tuple(step.source for step in steps),
            tensors=tuple(
                Place(
                    kind=region.kind,
                    address=region.address,
                    bytes=region.view.size,
                    shape=region.view.shape,
                    strides=region.view.strides,
                    dtype=region.dtype,
                    contents=region.contents,
                )
                for region in trace.regions
            ),
            tiles=tuple(buffer for buffer in trace.buffers if buffer.address is not None),
            memory_bytes=trace.memory_bytes,
        )


def _instructions(steps: Sequence[Step], config: CoreConfig) -> tuple[Instruction, ...]:
    waits, found = Waits(config), []
    for step in steps:
        places = {name: buffer.address + offset for name, (buffer, offset) in step.places.items()}
        fields = step.fields | places
        try:
            instruction = Instruction(step.name, **fields, **waits.add(Instruction(step.name, **fields)))
            # Whoever asks again is told at once.
            check_instruction(instruction, config)
            found.append(instruction)
        except (ValueError, TypeError) as error:
            raise KernelError(f"{step.name}: {error}", step.source) from None
    return tuple(found)


def kernel(function: Callable) -> Kernel:
    """Make a kernel of a function: its positional parameters are tensors in memory, all others are constants."""
    return Kernel(function)
