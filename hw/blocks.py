"""Hierarchy: each distinct component becomes one Verilog module, however often it is placed."""

import re
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace

from amaranth._toolchain.yosys import find_yosys
from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockSignal, Instance, Module, ResetSignal, Shape, Signal, Value, ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from golden.spec.encodings import Layout

__all__ = ["delayed", "emit_modules", "place", "struct"]

_placed: ContextVar[dict[str, tuple[wiring.Component, tuple]]] = ContextVar("placed")


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


def place(m: Module, name: str, block: type[wiring.Component], *parameters, **inputs: ValueLike) -> SimpleNamespace:
    """Instantiate ``block(*parameters)`` under ``name`` in ``m`` and return its ports.

    ``inputs`` are wired straight to the input ports they name; the caller drives the others through the returned
    ports. Within one emission a block must always be given equal parameters: it is built and emitted once, under its
    ``module_name``. (Amaranth itself would emit every instance anew; a 128 x 128 array has 16,384.) A block
    without registers, and so without a clock, says so by a true ``COMBINATIONAL``.

    Raises ValueError for an input whose width is not the port's, and for other parameters than before.
    """
    placed = _placed.get()
    if block.module_name not in placed:
        placed[block.module_name] = block(*parameters), parameters
    component, known = placed[block.module_name]
    if type(component) is not block or known != parameters:
        raise ValueError(f"{block.module_name} must have the same parameters everywhere, not {known} and {parameters}")
    ports = SimpleNamespace()
    connections = {}
    for path, member, _ in component.signature.flatten(component):
        port = "__".join(path)
        shape = member.shape
        width = Shape.cast(shape).width
        if port in inputs:
            value = Value.cast(inputs.pop(port))
            if member.flow == Out or len(value) != width:
                raise ValueError(f"{name}.{port} must be given as an input of {width} bits, not {len(value)}")
        else:
            # A plain signal seen through the layout: signals with a layout add a Verilog wire for every field.
            value = Signal(width, name=f"{name}__{port}")
            parent = ports
            for part in path[:-1]:
                parent = parent.__dict__.setdefault(part, SimpleNamespace())
            setattr(parent, path[-1], shape(value) if isinstance(shape, data.Layout) else value)
        connections[f"{'o' if member.flow == Out else 'i'}_{port}"] = value
    if inputs:
        raise ValueError(f"{name} must have the ports {', '.join(inputs)}")
    if not getattr(component, "COMBINATIONAL", False):
        connections |= {"i_clk": ClockSignal(), "i_rst": ResetSignal()}
    m.submodules[name] = Instance(component.module_name, **connections)
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
select {logic}
proc; opt_expr; opt_clean; opt_dff; opt_clean -purge; wreduce t:$shl; opt_clean -purge; memory_collect
select -clear
write_verilog -noattr
"""


def emit_modules(top: wiring.Component) -> dict[str, str]:
    """Verilog of ``top`` and of every component placed below it, by module name, ``top`` first."""
    texts: dict[str, str] = {}
    with _registry() as waiting:
        waiting[top.module_name] = top, ()
        while missing := [name for name in waiting if name not in texts]:
            for name in missing:
                texts[name] = rtlil.convert(waiting[name][0], name=name, emit_src=False)
    script = "".join(f"read_rtlil <<rtlil\n{text}\nrtlil\n" for text in texts.values())
    # Modules that only join others are wide, and there is nothing in them to tidy but the names of the top's fields.
    logic = [name for name, text in texts.items() if "cell $" in text or name == top.module_name]
    script += _EMIT.format(logic=" ".join(logic))
    emitted = find_yosys(lambda version: version >= (0, 40)).run(["-q", "-"], script, ignore_warnings=True)
    modules = re.finditer(r"^module (\w+)\b.*?^endmodule\n", emitted, re.DOTALL | re.MULTILINE)
    modules = {match[1]: match[0] for match in modules}
    return {name: modules[name] for name in texts}
