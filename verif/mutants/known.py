"""What a unit knows of a module in its design, as Verilog: proofs about the module rest on it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["NAMES", "TRUE", "Guard", "Known"]

#: An expression that says nothing.
TRUE = "1'b1"
#: Names in an expression of Verilog.
NAMES = re.compile(r"(?<![\w'.])[a-z_]\w*")


@dataclass(frozen=True)
class Guard:
    """Bits of a port or register that mean something only while a condition is true; proofs compare them only then.

    While the condition of an output's bits is false, the modules behind it must not look at them. What such a module
    declares of its input says so, and its own proof then gives that input any value.

    kind : str
        ``input``, ``output`` or ``register``.
    name, low, width : str, int, int
        Which bits.
    condition : str
        A Verilog expression over ports or registers of the same kind.
    """

    kind: str
    name: str
    low: int
    width: int
    condition: str


@dataclass(frozen=True, kw_only=True)
class Known:
    """Verilog expressions about one module.

    assumption : str
        Over its inputs, true in the design. ``read_0``, what its first memory reads, is one of them. Its outputs are
        ``gold_NAME``, its registers ``gold_net_NAME``.
    promise : str
        Over its outputs: assumptions about other modules rest on it. Proved of the module.
    invariant : str
        Over its registers: true in every reachable state. Each proof that uses it proves it too: it holds after a reset
        and after every step from a state in which it holds.
    guards : sequence of Guard
    """

    assumption: str = TRUE
    promise: str = TRUE
    invariant: str = TRUE
    guards: Sequence[Guard] = ()

    @property
    def owed(self) -> bool:
        """Proofs about other modules rest on something that this one does."""
        return self.promise != TRUE or any(guard.kind == "input" for guard in self.guards)
