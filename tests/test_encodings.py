"""Text is UTF-8 wherever it is read or written: nothing depends on the locale."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("arch", "golden", "hw", "scripts", "tests", "verif")
#: Calls that read or write text unless they are told otherwise, and the place of their mode.
TEXT = {"read_text": None, "write_text": None}
MODES = {"open": 1, "fdopen": 1, "NamedTemporaryFile": 0, "TemporaryFile": 0}


def _unsaid(call: ast.Call) -> bool:
    """Whether a call leaves the encoding of text to the locale."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if "encoding" in keywords:
        return False
    if "text" in keywords or "universal_newlines" in keywords:
        return isinstance(function, ast.Attribute) and getattr(function.value, "id", "") in ("subprocess", "psutil")
    if name in TEXT:
        return isinstance(function, ast.Attribute) and len(call.args) < (2 if name == "write_text" else 1)
    if name in MODES:
        if isinstance(function, ast.Attribute) and getattr(function.value, "id", "") in ("os", "webbrowser"):
            return name == "fdopen" and _is_text(call, keywords, 1)
        # A method ``open`` of a path has its mode first.
        place = 0 if isinstance(function, ast.Attribute) and name == "open" else MODES[name]
        default = "w+b" if name in ("NamedTemporaryFile", "TemporaryFile") else "r"
        return _is_text(call, keywords, place, default)
    return False


def _is_text(call: ast.Call, keywords: dict[str | None, ast.expr], place: int, default: str = "r") -> bool:
    mode = keywords.get("mode", call.args[place] if len(call.args) > place else ast.Constant(default))
    return isinstance(mode, ast.Constant) and isinstance(mode.value, str) and "b" not in mode.value


def _places(text: str) -> Iterator[int]:
    """Lines of such calls."""
    yield from (node.lineno for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and _unsaid(node))


def test_every_encoding_is_said():
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(paths) > 100
    found = {str(path.relative_to(ROOT)): [*_places(path.read_text(encoding="utf-8"))] for path in paths}
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_the_check_can_fail():
    for bad in (
        "open('x')",
        "open('x', 'w')",
        "path.open()",
        "path.open('a')",
        "os.fdopen(3, 'w')",
        "path.read_text()",
        "path.write_text('x')",
        "tempfile.NamedTemporaryFile('w')",
        "subprocess.run(['ls'], text=True)",
    ):
        assert [*_places(bad)] == [1], bad
    for good in (
        "open('x', 'rb')",
        "open('x', mode='wb')",
        "path.open('rb')",
        "os.open('x', os.O_RDONLY)",
        "path.read_text(encoding='utf-8')",
        "path.read_text('utf-8')",
        "tempfile.TemporaryFile()",
        "subprocess.run(['ls'], encoding='utf-8')",
    ):
        assert [*_places(good)] == [], good
