"""The coverage report as one HTML page that needs nothing else."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import jinja2
import numpy as np

from verif.coverage.points import Hits, Point
from verif.coverage.report import LINES_BAR, Coverage
from verif.coverage.verilog import CodePoint

__all__ = ["page"]

#: Lines of Verilog shown on each side of one that was missed.
AROUND = 3


def page(coverage: Coverage) -> str:
    """The page of a measurement."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["short"] = _short
    names = dict.fromkeys(name for hits in coverage.hits.values() for name in hits.points)
    return environment.get_template("page.html").render(
        coverage=coverage,
        complaints=coverage.complaints(),
        bar=LINES_BAR,
        points=[_point(coverage, name) for name in names],
        modules=[_module(coverage, name) for name in coverage.code.texts],
    )


def _short(count: int) -> str:
    """A count in at most four characters."""
    for unit, suffix in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            return f"{count / unit:.1f}{suffix}" if count < 10 * unit else f"{count // unit}{suffix}"
    return str(count)


def _point(coverage: Coverage, name: str) -> dict:
    """One point in every preset that has it."""
    tables = [(preset, hits) for preset, hits in coverage.hits.items() if name in hits.points]
    point = tables[0][1].points[name]
    covered = {preset: hits.covered(name) for preset, hits in tables}
    return {
        "name": name,
        "anchor": name.replace(" ", "-"),
        "what": point.what,
        "covered": covered,
        "full": all(hit == due for hit, due in covered.values()),
        "tables": [_table(preset, hits, hits.points[name]) for preset, hits in tables],
    }


def _table(preset: str, hits: Hits, point: Point) -> dict:
    """Bins as a table: the last of several axes to the right, all others downwards."""
    *down, across = point.axes.items()
    if not down:
        down, across = [across], ("", ("",))
    counts = hits.counts[point.name].reshape(-1, len(across[1]))
    exclusion = point.exclusion.reshape(counts.shape)
    heads = list(product(*(labels for _, labels in down)))
    rows = [
        {"labels": labels, "cells": list(_cells(point, counts[index], exclusion[index]))}
        for index, labels in enumerate(heads)
    ]
    return {
        "preset": preset,
        "down": [axis for axis, _ in down],
        "across": across[0],
        "labels": across[1],
        "rows": rows,
        "reasons": list(dict.fromkeys(rule.reason for rule in point.excluded)),
    }


def _cells(point: Point, counts: np.ndarray, exclusion: np.ndarray) -> Iterator[dict]:
    for count, rule in zip(counts.tolist(), exclusion.tolist(), strict=True):
        if rule >= 0:
            kind = "refuted" if count else "excluded"
            yield {"kind": kind, "count": count, "title": point.excluded[rule].reason, "shade": 0}
        else:
            # Shades go by the number of digits.
            yield {
                "kind": "hit" if count else "hole",
                "count": count,
                "title": f"{count:,} hits" if count else "not hit",
                "shade": min(len(str(count)), 7),
            }


def _module(coverage: Coverage, name: str) -> dict:
    """Figures of one module, and the lines that were missed."""
    code = coverage.code
    lines, toggles = code.of(name, "line", "branch"), code.of(name, "toggle")
    missed = sorted((p for p, n in lines.items() if not n), key=lambda p: (p.variant, p.line, p.column))
    return {
        "name": name,
        "variants": len(code.texts[name]),
        "lines": (sum(1 for n in lines.values() if n), len(lines)),
        "toggles": (sum(1 for n in toggles.values() if n), len(toggles)),
        "waived": sum(1 for p in missed if code.waiver(p, coverage.waivers)),
        "missed": [_excerpt(coverage, p) for p in missed],
    }


def _excerpt(coverage: Coverage, point: CodePoint) -> dict:
    """A missed line between its neighbours."""
    text = coverage.code.texts[point.module][point.variant].splitlines()
    first = max(0, point.line - AROUND)
    waiver = coverage.code.waiver(point, coverage.waivers)
    return {
        "what": point.what,
        "reason": waiver.reason if waiver else None,
        "lines": [
            {"number": number + 1, "text": text[number], "here": number == point.line}
            for number in range(first, min(len(text), point.line + AROUND + 1))
        ],
    }
