"""One Verilog text of emitted modules, made shorter and easier to read."""

import re

__all__ = ["join_modules"]

_ZEROS = re.compile(r"  initial begin\n((?:    (\w+)\[\d+\] = (\d+'h0+);\n)+)  end\n")
#: Four or more times the same name in a concatenation.
_COPIES = re.compile(r"(?<=[{ ])([\\\w.]+ ?(?:\[\d+\])?)(?:, \1){3,}(?=[, ])")


def _zero_loop(match: re.Match) -> str:
    lines, memory, zero = match[1].count("\n"), match[2], match[3]
    return (
        f"  integer {memory}_row;\n  initial\n"
        f"    for ({memory}_row = 0; {memory}_row < {lines}; {memory}_row = {memory}_row + 1)\n"
        f"      {memory}[{memory}_row] = {zero};\n"
    )


def _replicate(match: re.Match) -> str:
    return f"{{{match[0].count(',') + 1}{{{match[1]}}}}}"


_HEADER = re.compile(r"^module (\w+)\((\w[^)]*)\);\n", re.MULTILINE)
#: A port as yosys declares it in the module's body: its direction, then its kind and what a register starts with.
_PORT = re.compile(
    r"^  (?P<way>input|output)(?P<range> \[\d+:0\])? (?P<name>\w+);\n"
    r"  (?P<kind>wire|reg)(?P=range)? (?P=name)(?P<start> = [^;]+)?;\n",
    re.MULTILINE,
)


def _ports_in_header(text: str) -> str:
    """The same module with its ports declared where they are listed: clock, reset, inputs, outputs."""
    if not (header := _HEADER.match(text)):
        return text
    ports = {match["name"]: match for match in _PORT.finditer(text)}
    if ports.keys() != set(re.split(r"\s*,\s*", header[2].strip())):
        raise ValueError(f"{header[1]}: every port must be declared once, not {header[2]}")
    lines = [
        f"  {port['way']}{' reg' if port['kind'] == 'reg' else ''}{port['range'] or ''} {name}{port['start'] or ''}"
        for name, port in sorted(
            ports.items(), key=lambda item: (item[0] not in ("clk", "rst"), item[1]["way"], item[0])
        )
    ]
    return f"module {header[1]}(\n" + ",\n".join(lines) + "\n);\n" + _PORT.sub("", text[header.end() :])


def join_modules(modules: dict[str, str]) -> str:
    """One Verilog text of modules as ``emit_modules`` gives them, made shorter and easier to read."""
    texts = (_COPIES.sub(_replicate, _ZEROS.sub(_zero_loop, text)) for text in modules.values())
    return "\n".join(map(_ports_in_header, texts))
