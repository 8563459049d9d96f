"""How a block is made of others, and small things that all of them use."""

from types import SimpleNamespace

from amaranth.hdl import Cat, Module, Shape, Signal, Value, ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Flow

from arch.layout import Layout
from hw.lib.assembly import Assembly, Placed
from hw.lib.emission import active_emission

__all__ = ["Ports", "delayed", "place", "struct"]


def struct(layout: Layout, **nested: data.Layout) -> data.StructLayout:
    """The Amaranth shape of a packed layout, fields named in ``nested`` seen through that shape.

    Fields without bits, as an exponent of integers, are left out: Verilog has no such wires.
    """
    return data.StructLayout({name: nested.get(name, width) for name, width in layout.fields.items() if width})


def delayed(m: Module, value: Value, cycles: int, name: str) -> Value:
    """``value`` as it was ``cycles`` clock cycles ago (zero before), as one shift register ``name``."""
    value = Value.cast(value)
    if cycles == 0:
        return value
    line = Signal(len(value) * cycles, name=name)
    m.d.sync += line.eq(Cat(value, line))
    return line[-len(value) :]


class Ports(SimpleNamespace):
    """Ports by name; those of an array by index."""

    def __getitem__(self, index: int) -> object:
        return vars(self)[str(index)]


def place(
    m: Module | Assembly, name: str, block: type[wiring.Component], *parameters, **connections: ValueLike
) -> Ports:
    """Put ``block(*parameters)`` into ``m`` as the submodule ``name`` and return its ports.

    ``connections`` are wired straight to the ports they name; what else an input needs, the caller drives through the
    returned ports.

    While Verilog is emitted, the submodule is an instance of a module that is built once for all such blocks. (Amaranth
    itself would elaborate and write every one anew; a 128 x 128 array has 16,384 PEs.) For that a block has the name
    of its class' modules, ``module_name``, and without registers, and so without a clock, a true ``COMBINATIONAL``; a
    block with Verilog of its own, ``verilog(name)``, has ``verilog_parameters`` too.

    Raises ValueError for a connection whose width is not the port's, or without a port.
    """
    emission = active_emission()
    component, module = emission.module(block, parameters) if emission else (block(*parameters), None)
    ports = Ports()
    pins: dict[str, tuple[Flow, Value]] = {}
    for path, member, _ in component.signature.flatten(component):
        port = "__".join(map(str, path))
        shape = member.shape
        width = Shape.cast(shape).width
        if port in connections:
            value = Value.cast(connections.pop(port))
            if len(value) != width:
                raise ValueError(f"{name}.{port} must be given {width} bits, not {len(value)}")
        else:
            # A plain signal seen through the layout: signals with a layout add a Verilog wire for every field.
            value = Signal(width, name=f"{name}__{port}")
            if isinstance(m, Assembly):
                m.wire(value)
            parent = ports
            for part in path[:-1]:
                parent = vars(parent).setdefault(str(part), Ports())
            setattr(parent, str(path[-1]), shape(value) if isinstance(shape, data.Layout) else value)
        pins[port] = member.flow, value
    if connections:
        raise ValueError(f"{name} must have the ports {', '.join(connections)}")
    placed = Placed(name, component, module, pins)
    if isinstance(m, Assembly):
        m.add(placed)
    else:
        placed.into(m)
    return ports
