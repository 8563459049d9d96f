"""The SystemVerilog module that replays a trace against a device and compares every cycle in compiled code."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from arch.record import Field, record_words

__all__ = ["RESET", "TOP", "Harness", "Log", "Status", "wave_name"]

TOP = "harness"
"""Name of the generated module."""
RESET = Field("i_reset", 1, drive=True)
"""A field that is no port: while it is high the device is in reset."""


class Status:
    """Values of ``harness_status``: how a replay stands."""

    RUNNING = 0
    END_OF_TRACE = 1
    MISMATCH = 2
    TRUNCATED = 3
    NO_FILE = 4


def wave_name(f: Field) -> str:
    """The name of a field in waveforms: with its row, its column, or both."""
    places = "".join(f"_{letter}{at}" for letter, at in (("r", f.row), ("c", f.col)) if at is not None)
    return f"{f.name}{places}"


@dataclass(frozen=True, kw_only=True)
class Log:
    """What is written, as the device drives it, to the file named by ``+log=``: 32-bit words, the lowest first.

    The three strings are Verilog expressions over the device's port names, ``dut.<instance>.<signal>`` paths and
    ``harness_compared``, the index of the record. An entry, ``payload``, is written in every cycle in which ``when`` is
    high, and when ``state``, 0 at first, is not what it was in the cycle before. The integers are their widths.
    """

    payload: str
    width: int
    when: str = "1'b0"
    state: str = "1'b0"
    state_width: int = 1

    @property
    def words(self) -> int:
        """32-bit words of an entry."""
        return (self.width + 31) // 32


@dataclass(frozen=True, kw_only=True)
class Harness:
    """Replays a trace against the module ``dut``: one record, one clock cycle.

    The inputs of a record change with the clock edge that begins its cycle, as if registers drove them. Every other
    field is compared as it stands just before the edge that ends the cycle, all bits of its words; an X or Z bit
    differs from any expected value. The replay stops at the first record that differs, at the end of the trace, or at a
    record cut short. Record 0 is the first cycle after reset.

    It has the ports ``clk`` and ``rst`` (synchronous, high) beside the fields, unless ``has_clock`` is false. With the
    field ``RESET`` a record may reset it in mid-run.

    Parameters
    ----------
    dut : str
        The module to instantiate, as ``dut``.
    fields : sequence of Field
        The record. A field for which ``path`` gives nothing is a port of the device, named as the field.
    path : callable
        The Verilog expression of a compared field that is not a port, such as ``dut.row_3.pe_2.psum``, or None. Its
        width must be the field's, and every port of the device must be a field: Verilator refuses to build others. That
        of an array of ports, an output for each row, is ``dut.<name>__<row>``.
    log : Log or None
        What is written to a file.
    has_clock : bool
        False: a combinational device, without ``clk`` and ``rst``.
    reset_cycles : int
        Clock edges with ``rst`` high before the first record.
    window : bool
        For waveforms around a difference: dumping to ``+waves=`` starts with record ``+first=``, a record that differs
        does not stop the replay, and every compared field is beside the value expected of it, as ``rtl.<name>`` and
        ``golden.expected_<name>`` (see :func:`wave_name`). The log may look at ``harness_difference``, of the record
        before.
    """

    dut: str
    fields: Sequence[Field]
    path: Callable[[Field], str | None] = field(default=lambda _: None)
    log: Log | None = None
    has_clock: bool = True
    reset_cycles: int = 2
    window: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", tuple(self.fields))
        if not re.fullmatch(r"[A-Za-z_]\w*", self.dut):
            raise ValueError(f"dut must be a Verilog module name, not {self.dut!r}")
        if all(f.drive for f in self.fields):
            raise ValueError("fields must hold at least one that is compared")
        if self.reset_cycles < 1:
            raise ValueError(f"reset_cycles must be at least 1, not {self.reset_cycles}")
        ports = [f.name for f in self.fields if self._is_port(f)]
        for name in ports:
            if ports.count(name) > 1 or name in ("clk", "rst"):
                raise ValueError(f"fields must name each port once, and clk and rst never: {name!r}")
        for f in self.fields:
            if f.drive and not self._is_port(f):
                raise ValueError(f"fields that are driven must be ports, and {f.name!r} has a path")

    @property
    def words(self) -> int:
        """32-bit words of a record."""
        return record_words(self.fields)

    def _is_port(self, f: Field) -> bool:
        return self.path(f) is None

    def text(self) -> str:
        """The harness as SystemVerilog, for Verilator and Icarus Verilog."""
        return "\n".join(
            [
                *self._declarations(),
                *self._device(),
                *self._beside(),
                *self._start(),
                *self._cycle(),
                "endmodule",
                "",
            ]
        )

    # Declarations

    def _declarations(self) -> list[str]:
        public = "/*verilator public_flat_rw*/"
        last = self.words - 1
        lines = [
            "`timescale 1ns / 1ns",
            f"module {TOP};",
            "`ifdef VERILATOR",
            '  import "DPI-C" function int trace_open(input string name);',
            f'  import "DPI-C" function int trace_read(input int words, output bit [31:0] record [0:{last}]);',
            '  import "DPI-C" function int log_open(input string name);',
            '  import "DPI-C" function void log_close();',
            *self._log_import(),
            "`endif",
            f"  reg harness_start {public} = 0;",
            f"  reg harness_finished {public} = 0;",
            f"  reg [2:0] harness_status {public} = {Status.RUNNING};",
            f"  reg [63:0] harness_compared {public} = 0;",
            # Of the log: a file that lacks some was cut short.
            f"  reg [63:0] harness_entries {public} = 0;",
            f"  bit [31:0] harness_record [0:{last}] {public};",
            f"  reg [31:0] harness_actual [0:{last}] {public};",
            "  reg [31:0] harness_difference = 0;",
            "  string harness_name;",
            "  integer harness_trace, harness_log, harness_words;",
            # One edge more than asked for, since rst rises at the first.
            f"  integer harness_reset = {self.reset_cycles + 1};",
            "  reg harness_loaded = 0;",
            "  reg clk = 0;",
            # It must rise after time 0: Icarus runs an `always @*` of emitted Verilog only when something changes.
            "  reg rst = 0;",
        ]
        if self.log:
            lines += [
                f"  reg [{self.log.state_width - 1}:0] harness_state = 0;",
                f"  reg [{32 * self.log.words - 1}:0] harness_entry;",
            ]
        if self.window:
            lines += [
                "  reg [63:0] harness_window;",
                '  initial if (!$value$plusargs("first=%d", harness_window)) harness_window = 0;',
            ]
        return lines

    def _log_import(self) -> list[str]:
        if not self.log:
            return []
        return [
            f'  import "DPI-C" function void log_write(input int words, input bit [{32 * self.log.words - 1}:0] entry);'
        ]

    def _device(self) -> list[str]:
        lines = []
        reset = f"rst | {RESET.name}" if RESET in self.fields else "rst"
        connections = [".clk(clk)", f".rst({reset})"] if self.has_clock else []
        for index, f in enumerate(self.fields):
            vector = f"[{f.width - 1}:0]"
            if not self._is_port(f):
                lines.append(f"  wire {vector} harness_field_{index} = {self.path(f)};")
                if self.path(f) == f"dut.{f.name}__{f.row}":
                    connections.append(f".{f.name}__{f.row}()")
                continue
            lines.append(f"  reg {vector} {f.name} = 0;" if f.drive else f"  wire {vector} {f.name};")
            if f != RESET:
                connections.append(f".{f.name}({f.name})")
        return [*lines, f"  {self.dut} dut (", ",\n".join(f"    {c}" for c in connections), "  );"]

    def _beside(self) -> list[str]:
        """Every compared field and what is expected of it, in the scopes ``rtl`` and ``golden``."""
        if not self.window:
            return []
        rtl, golden = [], []
        for index, f in enumerate(self.fields):
            if not f.drive:
                # A port has the same name: not its own value, but that of the scope around is meant.
                value = f"{TOP}.{f.name}" if self._is_port(f) else f"harness_field_{index}"
                rtl.append(f"wire [{f.width - 1}:0] {wave_name(f)} = {value};")
                golden.append(f"reg [{f.width - 1}:0] expected_{wave_name(f)} = 0;")
        return [
            line
            for name, signals in (("rtl", rtl), ("golden", golden))
            for line in (f"  generate if (1) begin : {name}", *(f"    {text}" for text in signals), "  end endgenerate")
        ]

    # Comparison

    def _actual_words(self) -> list[tuple[int, str]]:
        """Index in the record, and expression of the device's value, of every compared word."""
        words, start = [], 0
        for index, f in enumerate(self.fields):
            if not f.drive:
                name = f.name if self._is_port(f) else f"harness_field_{index}"
                for word in range(f.words):
                    low, high = 32 * word, min(32 * word + 32, f.width)
                    words.append((start + word, _padded(f"{name}[{high - 1}:{low}]", high - low)))
            start += f.words
        return words

    def _compares(self) -> list[str]:
        # XOR and OR keep an X: the sum of the differences is then not 0 either.
        return [
            f"harness_difference = harness_difference | (harness_record[{i}] ^ {actual});"
            for i, actual in self._actual_words()
        ]

    def _captures(self) -> list[str]:
        return [f"harness_actual[{i}] = {actual};" for i, actual in self._actual_words()]

    # Processes

    def _record_words(self, start: int, f: Field) -> list[str]:
        """The words of a field in the record, the most significant first and no wider than the field."""
        words = [f"harness_record[{start + i}]" for i in range(f.words)]
        if f.width % 32:
            words[-1] += f"[{f.width % 32 - 1}:0]"
        return words[::-1]

    def _drives(self) -> list[str]:
        lines, start = [], 0
        for f in self.fields:
            words = ", ".join(self._record_words(start, f))
            if f.drive:
                lines.append(f"{f.name} <= {{{words}}};")
            elif self.window:
                lines.append(f"golden.expected_{wave_name(f)} = {{{words}}};")
            start += f.words
        return lines

    def _observations(self) -> list[str]:
        if not self.log:
            return []
        return [
            f"if (({self.log.when}) || harness_state != ({self.log.state})) begin",
            f"  harness_entry = {_padded(self.log.payload, self.log.width)};",
            "`ifdef VERILATOR",
            f"  log_write({self.log.words}, harness_entry);",
            "`else",
            '  $fwrite(harness_log, "%u", harness_entry);',
            "`endif",
            "  harness_entries = harness_entries + 1;",
            "end",
            f"harness_state = {self.log.state};",
        ]

    def _dump(self) -> list[str]:
        if self.window:
            return ['if ($value$plusargs("waves=%s", harness_name)) $dumpfile(harness_name);']
        return [
            "`ifndef VERILATOR",
            'if ($value$plusargs("waves=%s", harness_name)) begin',
            "  $dumpfile(harness_name);",
            f"  $dumpvars(0, {TOP});",
            "end",
            "`endif",
        ]

    def _start(self) -> list[str]:
        """The process that opens the files and makes the clock."""
        body = [
            "wait (harness_start);",
            "#1;",
            *self._open("log", "wb"),
            *self._dump(),
            *self._open("trace", "rb"),
            f"if (harness_trace == 0 || harness_log == 0) harness_status = {Status.NO_FILE};",
            f"while (harness_status == {Status.RUNNING}) begin",
            "  clk = 1;",
            "  #1 clk = 0;",
            "  #1;",
            "end",
            "`ifdef VERILATOR",
            "log_close();",
            "`else",
            "$fclose(harness_log);",
            "`endif",
            "harness_finished = 1;",
        ]
        return _block("initial begin", body)

    @staticmethod
    def _open(name: str, mode: str) -> list[str]:
        """Lines that open the file of a plusarg."""
        return [
            f"harness_{name} = 0;",
            f'if ($value$plusargs("{name}=%s", harness_name))',
            "`ifdef VERILATOR",
            f"  harness_{name} = {name}_open(harness_name);",
            "`else",
            f'  harness_{name} = $fopen(harness_name, "{mode}");',
            "`endif",
        ]

    def _stop(self) -> list[str]:
        return [
            "  if (harness_difference !== 0) begin",
            *(f"    {line}" for line in self._captures()),
            f"    harness_status = {Status.MISMATCH};",
            "  end",
        ]

    def _cycle(self) -> list[str]:
        """Each clock edge: compare the cycle that ends, then read and drive the next one."""
        # Inputs and reset change as registers do. Verilator evaluates all logic that depends on a signal set by a timed
        # process several times in every cycle: with reset among them, that would be the whole device.
        body = [
            "if (harness_reset != 0) begin",
            "  harness_reset = harness_reset - 1;",
            "  rst <= harness_reset != 0;",
            "end else if (harness_loaded) begin",
            *(f"  {line}" for line in self._observations()),
            "  harness_difference = 0;",
            *(f"  {line}" for line in self._compares()),
            "  harness_compared = harness_compared + 1;",
            *([] if self.window else self._stop()),
            "end",
            f"if (harness_reset == 0 && harness_status == {Status.RUNNING}) begin",
            *([f"  if (harness_compared == harness_window) $dumpvars(0, {TOP});"] if self.window else []),
            # $fread takes a byte at a time. The function below copies a record at once: 7 times as fast on 2,000 words.
            "`ifdef VERILATOR",
            f"  harness_words = trace_read({self.words}, harness_record);",
            "`else",
            "  harness_words = $fread(harness_record, harness_trace) / 4;",
            "`endif",
            f"  if (harness_words == 0) harness_status = {Status.END_OF_TRACE};",
            f"  else if (harness_words != {self.words}) harness_status = {Status.TRUNCATED};",
            *(f"  {line}" for line in self._drives()),
            "  harness_loaded = 1;",
            "end",
        ]
        return _block("always @(posedge clk) begin", body)


def _padded(expression: str, width: int) -> str:
    """The expression with zeros above, so that it fills 32-bit words."""
    pad = -width % 32
    return f"{{{pad}'b0, {expression}}}" if pad else expression


def _block(opening: str, body: Sequence[str]) -> list[str]:
    return [f"  {opening}", *(line if line.startswith("`") else f"    {line}" for line in body), "  end"]
