"""Reports on the console."""

import io

from rich.console import Console

from scripts.ground.failures import command_line, show_failures

LINES = [
    "RTL and golden model differ first in cycle 6, at PE(0, 0).active",
    "  stage     active weight plane: hw/tensor/pe.py",
    "  expected  0x088  4.0",
    "  actual    0x000  0.0",
    "    cycle 5  PE(0, 0).shadow    0x088  4.0 [b]",
    "  also      PE(0, 1).active",
    "a result is wrong",
]


def shown(**options) -> str:
    console = Console(file=io.StringIO(), width=20, **options)
    show_failures(console, LINES)
    return console.file.getvalue()


def test_plain_where_there_is_no_terminal():
    assert shown() == "\n".join(LINES) + "\n"


def test_colours_on_a_terminal(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    text = shown(force_terminal=True, color_system="standard").splitlines()
    red, green, bold_red = "\x1b[31m", "\x1b[32m", "\x1b[1;31m"
    assert [line[: line.find("m") + 1] if line.startswith("\x1b") else "" for line in text] == [
        bold_red,
        "",
        green,
        red,
        "",
        "",
        red,
    ]


def test_no_color_is_respected(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown(force_terminal=True)
    assert not any(f"\x1b[{code}m" in text for code in (31, 32, 33, 36))


def test_command_line_can_be_typed_again(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/somewhere/systolith", "gemm", "my X.npy", "W.npy", "--backend", "rtl"])
    assert command_line() == "systolith gemm 'my X.npy' W.npy --backend rtl"
