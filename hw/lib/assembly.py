"""A module of instances and wires alone, written as Verilog straight from its description."""

from collections.abc import Iterable, Mapping
from itertools import pairwise

from amaranth.hdl import Signal, Value
from amaranth.hdl._ast import Slice
from amaranth.lib.wiring import Flow, In, Out

__all__ = ["Assembly"]


class Assembly:
    """Stands in for a ``Module`` in a component that only places others: what its ``assemble`` returns.

    Amaranth's backend works bit by bit, and there are millions of bits between the PEs of a large array. Here an
    instance's port connects to a signal or a slice of one, to nothing else.
    """

    def __init__(self):
        self._wires: list[Signal] = []
        self._instances: list[tuple[str, str, list[str]]] = []
        #: Of each signal: from where to where an output drives it, and an input reads it.
        self._driven: dict[str, list[tuple[int, int]]] = {}
        self._read: dict[str, list[tuple[int, int]]] = {}

    def wire(self, signal: Signal) -> Signal:
        """Declare a signal that is no port of the component."""
        self._wires.append(signal)
        return signal

    def instance(self, module: str, name: str, ports: Mapping[str, tuple[Flow, Value]], *, clocked: bool) -> None:
        """Place ``module`` under ``name``. Raises TypeError for a value that is no signal or slice of one."""
        pins = [".clk(clk)", ".rst(rst)"] if clocked else []
        for port, (flow, value) in ports.items():
            if not isinstance(value, Signal) and not (isinstance(value, Slice) and isinstance(value.value, Signal)):
                raise TypeError(f"{name}.{port} must connect to a signal or a slice of one, not {value!r}")
            signal, low, high = _range(value)
            (self._read if flow == In else self._driven).setdefault(signal, []).append((low, high))
            pins.append(f".{port}({_text(value)})")
        self._instances.append((module, name, pins))

    def verilog(self, module: str, ports: Iterable[tuple[Flow, Signal]]) -> str:
        """The module's text; it has a clock.

        Raises ValueError if something that is read, or a bit of an output, is not driven by exactly one port.
        """
        ports = list(ports)
        self._check(module, ports)
        declarations = ["input clk", "input rst"]
        declarations += [f"{'input' if flow == In else 'output'} {_vector(signal)}" for flow, signal in ports]
        lines = [f"module {module}(", _list(declarations, 2), ");"]
        lines += [f"  wire {_vector(signal)};" for signal in self._wires]
        for block, name, pins in self._instances:
            lines += [f"  {block} {name} (", _list(pins, 4), "  );"]
        return "\n".join([*lines, "endmodule\n"])

    def _check(self, module: str, ports: list[tuple[Flow, Signal]]) -> None:
        for signal, ranges in self._driven.items():
            ranges.sort()
            for (_, high), (low, _) in pairwise(ranges):
                if low < high:
                    raise ValueError(f"{module}.{signal}[{low}] must be driven once")
        inputs = {signal.name for flow, signal in ports if flow == In}
        wanted = {signal: reads for signal, reads in self._read.items() if signal not in inputs}
        for flow, signal in ports:
            if flow == Out:
                wanted.setdefault(signal.name, []).append((0, len(signal)))
        for signal, reads in wanted.items():
            low, high = min(low for low, _ in reads), max(high for _, high in reads)
            for start, stop in self._driven.get(signal, []):
                if start > low:
                    break
                low = max(low, stop)
            if low < high:
                raise ValueError(f"{module}.{signal}[{low}] must be driven")


def _range(value: Value) -> tuple[str, int, int]:
    """Name of a signal, and from where to before where."""
    if isinstance(value, Slice):
        return value.value.name, value.start, value.stop
    return value.name, 0, len(value)


def _text(value: Value) -> str:
    signal, low, high = _range(value)
    whole = not isinstance(value, Slice) or (low, high) == (0, len(value.value))
    return signal if whole else f"{signal}[{low}]" if high - low == 1 else f"{signal}[{high - 1}:{low}]"


def _list(items: list[str], indent: int) -> str:
    return ",\n".join(" " * indent + item for item in items)


def _vector(signal: Signal) -> str:
    return signal.name if len(signal) == 1 else f"[{len(signal) - 1}:0] {signal.name}"
