"""Emission: Verilog of a block and of all that it places, each distinct block as one module."""

import gc
import hashlib
import re
from contextvars import ContextVar
from dataclasses import dataclass

from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.lib.assembly import Assembly
from hw.lib.yosys import run_yosys

__all__ = ["active_emission", "emit_modules", "name_of", "plain_names", "used"]


def _word(parameter: object) -> str:
    """A parameter in a module's name: a configuration's tag, a number, a word, or a digest of anything else."""
    if tag := getattr(parameter, "tag", None):
        return tag
    if isinstance(parameter, int) and parameter >= 0:
        return str(int(parameter))
    if isinstance(parameter, str) and re.fullmatch(r"[A-Za-z0-9_]+", parameter):
        return parameter
    return hashlib.sha256(repr(parameter).encode()).hexdigest()[:6]


def _tag(parameters: tuple) -> str | None:
    """The tag of the configuration among the parameters of a block."""
    return next((parameter.tag for parameter in parameters if hasattr(parameter, "tag")), None)


def name_of(block: type[wiring.Component], *parameters: object, around: str = "", target: str | None = None) -> str:
    """The name of the module that ``block(*parameters)`` is emitted as: what it is, then what it is made for.

    ``pe_4x4_5e1c9a`` is the PE of a configuration of 4 rows and 4 columns, ``5e1c9a`` a digest of all of it. A block
    that is not made for a configuration is made for that of the block ``around`` it: so files of two configurations
    have no module in common.
    """
    words = [] if hasattr(block, "verilog") else [_word(parameter) for parameter in parameters]
    if _tag(parameters) is None:
        words.append(around)
    return "_".join(filter(None, [block.module_name, *words, target]))


#: What ``name_of`` adds for a configuration and a target.
_MADE_FOR = re.compile(r"_\d+x\d+_[0-9a-f]{6}(?:_[a-z]+[0-9]+)?(?=\b|__)")


def plain_names(text: str) -> str:
    """Verilog of one configuration with every module named as what it is: ``pe``, whatever it is made for."""
    return _MADE_FOR.sub("", text)


def used(elaboratable: Elaboratable) -> Elaboratable:
    """Spares a component that was elaborated without Amaranth's knowledge, or that is text, the warning about it."""
    elaboratable._MustUse__used = True
    return elaboratable


@dataclass(frozen=True)
class _Member:
    """A block in an emission, what it was made from, and what blocks in it are made for."""

    component: wiring.Component
    made_from: tuple
    tag: str


class Emission:
    """The blocks of one Verilog text by the names of their modules, in the order in which they were placed."""

    def __init__(self, top: wiring.Component, name: str, target: str | None):
        self._target = target
        self._tag = getattr(getattr(top, "config", None), "tag", "")
        self._members = {name: _Member(used(top), (type(top), top), self._tag)}

    def module(self, block: type[wiring.Component], parameters: tuple) -> tuple[wiring.Component, str]:
        """``block(*parameters)``, made at its first use, and the name of its module.

        Raises ValueError if another block has that name.
        """
        name = name_of(block, *parameters, around=self._tag, target=self._target)
        generic = hasattr(block, "verilog")
        made_from = (block,) if generic else (block, *parameters)
        known = self._members.get(name)
        component = known.component if known and not generic else used(block(*parameters))
        if not known:
            self._members[name] = _Member(component, made_from, _tag(parameters) or self._tag)
        elif known.made_from != made_from:
            raise ValueError(f"{name} must be one block, not {known.made_from} and {made_from}")
        return component, name

    def texts(self) -> dict[str, str]:
        """Verilog by module name, the top first; what is placed by one block follows in the next round."""
        texts: dict[str, str] = {}
        converted: list[str] = []
        while missing := [name for name in self._members if name not in texts]:
            for name in missing:
                member = self._members[name]
                self._tag = member.tag
                if hasattr(member.component, "verilog"):
                    texts[name] = member.component.verilog(name)
                    continue
                elaborated = member.component.elaborate(self._target)
                if isinstance(elaborated, Assembly):
                    texts[name] = used(elaborated).verilog(name)
                    continue
                texts[name] = ""
                ports = _ports(member.component)
                text = rtlil.convert(elaborated, name=name, platform=self._target, ports=ports, emit_src=False)
                # Parts of a block that are no blocks themselves have its name and their own.
                converted.append(_INNER.sub(lambda match: match[0].replace(".", "__"), text))
        return texts | {name: self._marked(name, text) for name, text in _written(converted).items()}

    def _marked(self, name: str, text: str) -> str:
        """A module's text, its memories marked where no word is used that was read in the cycle of its write."""
        block = next(known for known in self._members if name == known or name.startswith(f"{known}__"))
        unchecked = getattr(self._members[block].component, "NO_RW_CHECK", False)
        return _MEMORY.sub(r"  (* no_rw_check *)\n\g<0>", text) if unchecked else text


def _ports(component: wiring.Component) -> dict[str, tuple[Value, PortDirection]]:
    """Ports by name, as Amaranth flattens a component's signature."""
    ways = {In: PortDirection.Input, Out: PortDirection.Output}
    members = component.signature.flatten(component)
    return {"__".join(map(str, path)): (Value.cast(value), ways[member.flow]) for path, member, value in members}


#: Registers become ``always`` blocks with reset and enable, all else assignments: a simulator runs that twice as fast
#: as the ``always @*`` processes of Amaranth's own script, and a person reads it more easily.
_WRITE = """
proc; opt_expr; opt_clean; opt_dff; opt_clean -purge; wreduce t:$shl; opt_clean -purge; memory_collect
write_verilog -noattr
"""
#: A module of RTLIL, or an instance of one, and its name.
_INNER = re.compile(r"^\s*(?:module|cell) \\[^\s$]+", re.MULTILINE)
_MEMORY = re.compile(r"^  reg \[[0-9:]+\] \w+ \[[0-9:]+\];", re.MULTILINE)


def _written(converted: list[str]) -> dict[str, str]:
    """RTLIL as Verilog, by module name."""
    if not converted:
        return {}
    script = "".join(f"read_rtlil <<rtlil\n{text}\nrtlil\n" for text in converted) + _WRITE
    written = run_yosys(script)
    modules = re.finditer(r"^module (\w+)\b.*?^endmodule\n", written, re.DOTALL | re.MULTILINE)
    return {match[1]: match[0] for match in modules}


_active: ContextVar[Emission | None] = ContextVar("active", default=None)


def active_emission() -> Emission | None:
    """The emission that is going on, or None: then blocks are elaborated as any Amaranth component is."""
    return _active.get()


def emit_modules(top: wiring.Component, target: str | None = None, *, name: str | None = None) -> dict[str, str]:
    """Verilog of ``top`` and of every block placed below it, by module name, ``top`` first.

    ``name`` is that of the top's module, by default ``top.module_name``; the others are as ``name_of`` says.
    ``target`` is handed to the blocks as their platform: one of ``hw.fpga``, whose cells they may use, or None.
    """
    emission = Emission(top, name or top.module_name, target)
    token = _active.set(emission)
    collects = gc.isenabled()
    # Looking for garbage among millions of cells takes a fifth of the time.
    gc.disable()
    try:
        return emission.texts()
    finally:
        _active.reset(token)
        if collects:
            gc.enable()
