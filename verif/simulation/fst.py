"""Rewrites a simulator's VCD file as FST, the compact format that GTKWave and Surfer load at once."""

import re
from collections.abc import Iterator
from pathlib import Path

from arch.environment import EnvironmentFault

try:
    from pylibfst import ffi, lib
except ImportError:  # no wheel for this machine
    lib = None

__all__ = ["AVAILABLE", "vcd_scopes", "vcd_to_fst"]

#: Whether FST can be written here.
AVAILABLE = lib is not None

_DEFINITION = re.compile(r"\$(\w+)\s+(.*?)\s*\$end", re.DOTALL)


def _definitions(header: str) -> Iterator[tuple[str, list[str]]]:
    """Keyword and words of each definition in a VCD header."""
    for match in _DEFINITION.finditer(header):
        yield match[1], match[2].split()


def vcd_scopes(vcd: Path) -> tuple[dict[str, str], int]:
    """Each signal's full name by its hierarchical one without the range, as viewers want it, and the first time.

    EnvironmentFault for a file that does not end as a simulator ends it.
    """
    text = vcd.read_text(encoding="utf-8")
    header, _, body = text.partition("$enddefinitions")
    start = re.search(r"^#(\d+)", body, re.MULTILINE)
    if start is None or not text.endswith("\n"):
        raise EnvironmentFault(f"the waveforms are cut short: {vcd}")
    scopes, names = [], {}
    for keyword, words in _definitions(header):
        if keyword == "scope":
            scopes.append(words[1])
        elif keyword == "upscope":
            scopes.pop()
        elif keyword == "var":
            name = ".".join([*scopes, words[3]])
            names[name.partition("[")[0]] = name + "".join(words[4:])
    return names, int(start[1])


def vcd_to_fst(vcd: Path, fst: Path) -> None:
    """Write ``fst`` with the hierarchy and all changes of ``vcd``."""
    header, _, body = vcd.read_text(encoding="utf-8").partition("$enddefinitions")
    context = lib.fstWriterCreate(str(fst).encode(), 1)
    if context == ffi.NULL:
        raise OSError(f"{fst} cannot be written")
    handles = _declare(context, header)
    for token in _changes(body):
        if token[0] == "#":
            lib.fstWriterEmitTimeChange(context, int(token[1:]))
            continue
        value, _, code = token[1:].partition(" ") if token[0] in "bB" else (token[0], "", token[1:])
        handle, width = handles[code]
        # Left out digits repeat X and Z, and are zero otherwise.
        fill = value[0] if value[0] in "xXzZ" else "0"
        lib.fstWriterEmitValueChange(context, handle, value.rjust(width, fill).lower().encode())
    lib.fstWriterClose(context)


def _declare(context, header: str) -> dict[str, tuple[int, int]]:
    """Create scopes and signals: handle and width by the VCD's own code."""
    handles: dict[str, tuple[int, int]] = {}
    for keyword, words in _definitions(header):
        if keyword == "timescale":
            lib.fstWriterSetTimescaleFromString(context, "".join(words).encode())
        elif keyword == "scope":
            lib.fstWriterSetScope(context, lib.FST_ST_VCD_MODULE, words[1].encode(), ffi.NULL)
        elif keyword == "upscope":
            lib.fstWriterSetUpscope(context)
        elif keyword == "var" and words[0] != "real":
            width, code, name = int(words[1]), words[2], " ".join(words[3:])
            alias = handles[code][0] if code in handles else 0
            kind = lib.FST_VT_VCD_REG if words[0] in ("reg", "integer") else lib.FST_VT_VCD_WIRE
            handle = lib.fstWriterCreateVar(context, kind, lib.FST_VD_IMPLICIT, width, name.encode(), alias)
            handles[code] = handle, width
    return handles


def _changes(body: str) -> Iterator[str]:
    """Times and value changes, a line each; commands such as ``$dumpvars`` and reals left out."""
    for line in map(str.strip, body.splitlines()):
        if line and line[0] not in "$rR":
            yield line
