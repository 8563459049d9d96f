"""Runs a core's programs: in the order of the program, an instruction at a time, on NumPy's arrays."""

from collections.abc import Callable, Sequence

import numpy as np

from arch.core.accesses import Access, accesses
from arch.core.config import CoreConfig
from arch.core.instructions import Instruction
from arch.core.program import check_program, label
from arch.elements import ELEMENTS
from golden.core.dma import move
from golden.core.lanes import FUNCTIONS, add_up, canonical, keep, maximum_index, operate, reduced_maximum
from golden.core.stores import Memory, Sbuf
from golden.numerics.conversions import decode, encode
from golden.numerics.gemm import gemm

__all__ = ["ProgramError", "execute"]

_MAGNITUDE = np.uint32((1 << 31) - 1)


class ProgramError(ValueError):
    """What an instruction of a legal program cannot do: read what nobody wrote, say.

    Members: number : int, of the instruction.
    """

    def __init__(self, number: int, instruction: Instruction, reason: str) -> None:
        super().__init__(f"{label(number, instruction)}: {reason}")
        self.number = number


def execute(
    program: Sequence[Instruction],
    memory: np.ndarray | Memory,
    config: CoreConfig,
    *,
    progress: Callable[[int], None] = lambda complete: None,
) -> Sbuf:
    """Run a program, as if each instruction were complete before the next one starts.

    Parameters
    ----------
    program : sequence of Instruction
    memory : uint8[BYTES] or Memory
        External memory, changed in place. Of an array the first byte has address 0, and all bytes count as written.
    config : CoreConfig
    progress : callable
        Called after each instruction with how many are complete.

    Returns
    -------
    Sbuf
        What is in SBUF at the end.

    Raises
    ------
    ValueError
        If the program is not legal in this core; nothing is run then.
    ProgramError
        A ValueError: if an instruction reads what nobody wrote, leaves memory, or has an index out of range; with its
        number, its text and the place.
    TypeError
        If ``memory`` is neither.
    """
    memory = memory if isinstance(memory, Memory) else Memory(memory)
    check_program(program, config)
    core = _Core(memory, config)
    for number, instruction in enumerate(program):
        try:
            core.run(instruction)
        except ValueError as error:
            raise ProgramError(number, instruction, str(error)) from None
        progress(number + 1)
    return core.sbuf


class _Core:
    """The state of a core between two instructions."""

    def __init__(self, memory: Memory, config: CoreConfig) -> None:
        self.config, self.memory, self.sbuf = config, memory, Sbuf(config)
        # Rows of PSUM that nobody took: float32[P, ROWS].
        self.psum = np.empty((config.lanes, 0), np.float32)
        self._run = {"matmul": self._matmul, "vector": self._vector, "scalar": self._scalar}

    def run(self, instruction: Instruction) -> None:
        if instruction.name == "dma":
            move(instruction, self.sbuf, self.memory, self.config)
        else:
            self._run[instruction.name](instruction, accesses(instruction, self.config))

    def _matmul(self, instruction: Instruction, places: tuple[Access, ...]) -> None:
        depth, lanes = instruction.fields["depth"], instruction.fields["lanes"]
        parts = {name: [self.sbuf.read(access) for access in places if access.operand == name] for name in "wx"}
        # w[n, tile, k] of each part to w[n, k]; x[k, tile, m1, m0] to x[k, m].
        w = np.concatenate([part.reshape(lanes, -1) for part in parts["w"]], axis=1)
        x = np.concatenate([part.swapaxes(0, 1).reshape(-1, *part.shape[2:]) for part in parts["x"]])
        rows = np.zeros((self.config.lanes, x[0].size), np.float32)
        # Products commute: what gemm calls activations are the weights, so that nothing large is transposed.
        rows[:lanes] = gemm(
            w,
            x.reshape(depth, -1),
            x_format=instruction.named("w_type"),
            w_format=instruction.named("x_type"),
            accumulation=self.config.engine.accumulation,
        )
        self.psum = np.concatenate([self.psum, rows], axis=1)

    def _vector(self, instruction: Instruction, places: tuple[Access, ...]) -> None:
        found = {access.operand: access for access in places}
        if "x" in found and instruction.named("x_type") == "u32":
            self.sbuf.write(found["y"], self.sbuf.read(found["x"]))
            return
        y = self._source(instruction, found)
        if instruction.named("absolute") == "yes":
            y = (y.view(np.uint32) & _MAGNITUDE).view(np.float32)
        for name, operation in (("a", "op0"), ("b", "op1")):
            if instruction.named(operation) != "bypass":
                y = operate(instruction.named(operation), y, self._operand(instruction, name, found))
        if instruction.named("mask") != "none":
            limits = instruction.fields["mask_base"] + instruction.fields["mask_lane"] * np.arange(len(y))
            fill = np.uint32(instruction.fields["fill"]).view(np.float32)
            y = keep(y, instruction.named("mask"), limits, instruction.fields["count0"], fill)
        reduction = {
            "none": None,
            "add": add_up,
            "max": reduced_maximum,
            "absmax": lambda values: reduced_maximum((values.view(np.uint32) & _MAGNITUDE).view(np.float32)),
            "argmax": maximum_index,
        }[instruction.named("reduce")]
        self._finish(instruction, found, y, reduction)

    def _scalar(self, instruction: Instruction, places: tuple[Access, ...]) -> None:
        found = {access.operand: access for access in places}
        x = self._source(instruction, found)
        scaled = operate("multiply", x, self._operand(instruction, "scale", found))
        argument = operate("add", scaled, self._operand(instruction, "bias", found))
        y = FUNCTIONS[instruction.named("function")](argument)
        self._finish(instruction, found, y, add_up if instruction.named("sum") == "yes" else None)

    def _source(self, instruction: Instruction, found: dict[str, Access]) -> np.ndarray:
        """x: float32[P, F], NaN canonical."""
        if "x" in found:
            return self._numbers(instruction, found["x"])
        count = int(np.prod([instruction.fields[f"count{dim}"] for dim in range(3)]))
        rows, self.psum = self.psum[:, :count], self.psum[:, count:]
        return np.ascontiguousarray(rows[: instruction.fields["lanes"]])

    def _numbers(self, instruction: Instruction, access: Access) -> np.ndarray:
        codes = self.sbuf.read(access)
        return decode(codes.reshape(len(codes), -1), ELEMENTS[instruction.named(f"{access.operand}_type")].format)

    def _operand(self, instruction: Instruction, name: str, found: dict[str, Access]) -> np.ndarray:
        """An operand beside x: float32[P, F], [P, 1] or [1, 1], NaN canonical."""
        kind = instruction.named(f"{name}_kind")
        if kind == "tensor":
            return self._numbers(instruction, found["t"])
        if kind == "lane":
            return canonical(self.sbuf.read(found[name]).view(np.float32)[:, None])
        return canonical(np.array([[instruction.fields[name]]], np.uint32).view(np.float32))

    def _finish(self, instruction: Instruction, found: dict[str, Access], y: np.ndarray, reduction) -> None:
        """Write y and what becomes of it along the free dimensions."""
        if "y" in found:
            codes = encode(y, ELEMENTS[instruction.named("y_type")].format)
            self.sbuf.write(found["y"], codes.reshape(len(codes), *(count for count, _ in found["y"].dims)))
        if reduction is not None:
            self.sbuf.write(found["r"], reduction(y).view(np.uint32))
