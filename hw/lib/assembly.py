"""A block of other blocks and the wires between them, without logic of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from amaranth.hdl import ClockSignal, Elaboratable, Instance, Module, ResetSignal, Signal, Value
from amaranth.hdl._ast import Slice
from amaranth.lib import wiring
from amaranth.lib.wiring import Flow, In, Out

__all__ = ["Assembly", "Placed"]


@dataclass(frozen=True)
class Placed:
    """A block within another one.

    Parameters
    ----------
    name : str
        Of the submodule.
    component : Component
    module : str or None
        The Verilog module that it is an instance of, while Verilog is emitted.
    pins : mapping
        Direction of each port, and what it is connected to.
    """

    name: str
    component: wiring.Component
    module: str | None
    pins: Mapping[str, tuple[Flow, Value]]

    @property
    def clocked(self) -> bool:
        """It has a clock and a reset."""
        return not getattr(self.component, "COMBINATIONAL", False)

    def into(self, m: Module) -> None:
        """Make it a submodule of ``m``: the component itself, or an instance of its module."""
        if self.module is not None:
            m.submodules[self.name] = self._instance()
            return
        m.submodules[self.name] = self.component
        for path, member, port in self.component.signature.flatten(self.component):
            _, value = self.pins["__".join(map(str, path))]
            port = Value.cast(port)
            m.d.comb += port.eq(value) if member.flow == In else value.eq(port)

    def _instance(self) -> Instance:
        arguments = {f"{'i' if flow == In else 'o'}_{port}": value for port, (flow, value) in self.pins.items()}
        arguments |= {f"p_{key}": value for key, value in getattr(self.component, "verilog_parameters", {}).items()}
        if self.clocked:
            arguments |= {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
        return Instance(self.module, **arguments)


class Assembly(Elaboratable):
    """What ``elaborate`` of a block returns that only places others: one description, read in two ways.

    Anywhere in Amaranth it is a ``Module`` of submodules. While Verilog is emitted it is written straight from here:
    Amaranth's backend works bit by bit, and there are millions of bits between the PEs of a large array.

    A port of a block within connects to a signal or a slice of one, to nothing else.

    Parameters
    ----------
    component : Component
        The block that is made of the others; it has a clock.
    """

    def __init__(self, component: wiring.Component):
        self._ports = [(member.flow, Value.cast(value)) for _, member, value in component.signature.flatten(component)]
        self._name = component.module_name
        self._wires: list[Signal] = []
        self._placed: list[Placed] = []

    def wire(self, signal: Signal) -> Signal:
        """Declare a signal that is no port of the component."""
        self._wires.append(signal)
        return signal

    def add(self, placed: Placed) -> None:
        """Take a block in. Raises TypeError if it connects to anything but a signal or a slice of one."""
        for port, (_, value) in placed.pins.items():
            if not isinstance(value, Signal) and not (isinstance(value, Slice) and isinstance(value.value, Signal)):
                raise TypeError(f"{placed.name}.{port} must connect to a signal or a slice of one, not {value!r}")
        self._placed.append(placed)

    def elaborate(self, platform) -> Module:
        """The module. Raises ValueError as :meth:`verilog` does."""
        self._check()
        m = Module()
        for placed in self._placed:
            placed.into(m)
        return m

    def verilog(self, module: str) -> str:
        """The text of the module.

        Raises ValueError if something that is read, or a bit of an output, is not driven by exactly one port.
        """
        self._check()
        declarations = ["input clk", "input rst"]
        declarations += [f"{'input' if flow == In else 'output'} {_vector(signal)}" for flow, signal in self._ports]
        lines = [f"module {module}(", _list(declarations, 2), ");"]
        lines += [f"  wire {_vector(signal)};" for signal in self._wires]
        for placed in self._placed:
            pins = [".clk(clk)", ".rst(rst)"] if placed.clocked else []
            pins += [f".{port}({_text(value)})" for port, (_, value) in placed.pins.items()]
            lines += [f"  {placed.module} {placed.name} (", _list(pins, 4), "  );"]
        return "\n".join([*lines, "endmodule\n"])

    def _check(self) -> None:
        #: Of each signal: from where to where an output drives it, and an input reads it.
        driven: dict[str, list[tuple[int, int]]] = {}
        wanted: dict[str, list[tuple[int, int]]] = {}
        inputs = {signal.name for flow, signal in self._ports if flow == In}
        for placed in self._placed:
            for flow, value in placed.pins.values():
                signal, low, high = _range(value)
                if flow == Out:
                    driven.setdefault(signal, []).append((low, high))
                elif signal not in inputs:
                    wanted.setdefault(signal, []).append((low, high))
        for signal, ranges in driven.items():
            ranges.sort()
            for (_, high), (low, _) in pairwise(ranges):
                if low < high:
                    raise ValueError(f"{self._name}.{signal}[{low}] must be driven once")
        for flow, signal in self._ports:
            if flow == Out:
                wanted.setdefault(signal.name, []).append((0, len(signal)))
        for signal, reads in wanted.items():
            low, high = min(low for low, _ in reads), max(high for _, high in reads)
            for start, stop in driven.get(signal, []):
                if start > low:
                    break
                low = max(low, stop)
            if low < high:
                raise ValueError(f"{self._name}.{signal}[{low}] must be driven")


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
