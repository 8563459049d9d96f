"""Hierarchy: each distinct component becomes one Verilog module, however often it is placed."""

import re
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace

from amaranth._toolchain.yosys import find_yosys
from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockSignal, Instance, Module, ResetSignal, Shape, Signal, Value, ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Flow, In

from arch.layout import Layout
from hw.lib.assembly import Assembly

__all__ = ["delayed", "emit_modules", "place", "struct"]

#: A component, or what has a signature and either ``assemble`` or ``VERILOG``: Amaranth has nothing to elaborate there.
Block = wiring.Component | wiring.PureInterface

_placed: ContextVar[dict[str, tuple[Block, tuple]]] = ContextVar("placed")


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


def place(
    m: Module | Assembly, name: str, block: type[Block], *parameters, **connections: ValueLike
) -> SimpleNamespace:
    """Instantiate ``block(*parameters)`` under ``name`` in ``m`` and return its ports.

    ``connections`` are wired straight to the ports they name; what else an input needs, the caller drives through the
    returned ports. Within one emission a block must always be given equal parameters: it is built and emitted once,
    under its ``module_name``. (Amaranth itself would emit every instance anew; a 128 x 128 array has 16,384.) A block
    without registers, and so without a clock, says so by a true ``COMBINATIONAL``. A block with a text ``VERILOG`` of
    its own may have ``verilog_parameters`` that differ.

    Raises ValueError for a connection whose width is not the port's, and for other parameters than before.
    """
    placed = _placed.get()
    generic = hasattr(block, "VERILOG")
    if block.module_name not in placed:
        placed[block.module_name] = block(*parameters), parameters
    component, known = placed[block.module_name]
    if type(component) is not block or (known != parameters and not generic):
        raise ValueError(f"{block.module_name} must have the same parameters everywhere, not {known} and {parameters}")
    if generic:
        component = block(*parameters)
    ports = SimpleNamespace()
    pins: dict[str, tuple[Flow, Value]] = {}
    for path, member, _ in component.signature.flatten(component):
        port = "__".join(path)
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
                parent = parent.__dict__.setdefault(part, SimpleNamespace())
            setattr(parent, path[-1], shape(value) if isinstance(shape, data.Layout) else value)
        pins[port] = member.flow, value
    if connections:
        raise ValueError(f"{name} must have the ports {', '.join(connections)}")
    clocked = not getattr(component, "COMBINATIONAL", False)
    if isinstance(m, Assembly):
        m.instance(component.module_name, name, pins, clocked=clocked)
        return ports
    arguments = {f"{'i' if flow == In else 'o'}_{port}": value for port, (flow, value) in pins.items()}
    arguments |= {f"p_{key}": value for key, value in getattr(component, "verilog_parameters", {}).items()}
    if clocked:
        arguments |= {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
    m.submodules[name] = Instance(component.module_name, **arguments)
    return ports


@contextmanager
def _registry():
    token = _placed.set({})
    try:
        yield _placed.get()
    finally:
        _placed.reset(token)


#: Registers become ``always`` blocks with reset and enable, all else assignments: a simulator runs that twice as fast
#: as the ``always @*`` processes of Amaranth's own script, and a person reads it more easily.
_EMIT = """
proc; opt_expr; opt_clean; opt_dff; opt_clean -purge; wreduce t:$shl; opt_clean -purge; memory_collect
write_verilog -noattr
"""
#: No word is used that was read in the cycle in which it was written, but by commands that break the rules of
#: docs/architecture.md: block RAM that gives something else than the old word then will do.
_MEMORY = re.compile(r"^  reg \[[0-9:]+\] \w+ \[[0-9:]+\];", re.MULTILINE)


def emit_modules(top: Block, target: str | None = None) -> dict[str, str]:
    """Verilog of ``top`` and of every component placed below it, by module name, ``top`` first.

    ``target`` is handed to the components as their platform: one of ``hw.fpga``, whose cells they may use, or None.
    """
    texts: dict[str, str] = {}
    rtlil_texts: dict[str, str] = {}
    with _registry() as waiting:
        waiting[top.module_name] = top, ()
        while missing := [name for name in waiting if name not in texts]:
            for name in missing:
                component = waiting[name][0]
                if hasattr(component, "VERILOG"):
                    texts[name] = component.VERILOG
                elif hasattr(component, "assemble"):
                    texts[name] = _assembled(component)
                else:
                    texts[name] = rtlil_texts[name] = rtlil.convert(
                        component, name=name, platform=target, emit_src=False
                    )
    if rtlil_texts:
        script = "".join(f"read_rtlil <<rtlil\n{text}\nrtlil\n" for text in rtlil_texts.values()) + _EMIT
        emitted = find_yosys(lambda version: version >= (0, 40)).run(["-q", "-"], script, ignore_warnings=True)
        emitted = re.sub(_MEMORY, r"  (* no_rw_check *)\n\g<0>", emitted)
        modules = re.finditer(r"^module (\w+)\b.*?^endmodule\n", emitted, re.DOTALL | re.MULTILINE)
        texts |= {match[1]: match[0] for match in modules}
    return texts


def _assembled(component: wiring.PureInterface) -> str:
    ports = [(member.flow, Value.cast(value)) for _, member, value in component.signature.flatten(component)]
    return component.assemble().verilog(component.module_name, ports)
