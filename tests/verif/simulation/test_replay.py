"""Replays of a toy device: what must pass, passes; whatever differs is caught and named."""

import dataclasses
import os
import random
import shutil
import signal

import numpy as np
import pytest

import verif.simulation.runs
from arch.environment import EnvironmentFault
from arch.record import Field, record_words
from verif.simulation.feed import HALF_BYTES, PIPE_BYTES
from verif.simulation.harness import Harness, Log
from verif.simulation.replay import replay
from verif.simulation.simulator import SimulatorError, build

needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is not installed")

# A registered adder; the register sits in a sub-instance. `o_valid` has no value before reset under Icarus.
ADDER = """
module stage(input clk, input rst, input [39:0] d, output [39:0] q);
  reg [39:0] held = 0;
  always @(posedge clk) held <= rst ? 40'd0 : d;
  assign q = held;
endmodule

module adder(
  input clk, input rst, input [39:0] i_a, input [39:0] i_b, input i_valid, output [39:0] o_sum, output reg o_valid
);
  stage first(.clk(clk), .rst(rst), .d(i_a + i_b), .q(o_sum));
  always @(posedge clk) o_valid <= rst ? 1'b0 : i_valid;
  always @(posedge clk) if (i_a == 40'hdead) $c("std::abort();");
endmodule
"""
FIELDS = (
    Field("i_a", 40, drive=True),
    Field("i_b", 40, drive=True),
    Field("i_valid", 1, drive=True),
    Field("o_sum", 40),
    Field("o_valid", 1),
    Field("held", 40, row=0, col=3),
)
HARNESS = Harness(
    dut="adder",
    fields=FIELDS,
    path=lambda f: f"dut.first.{f.name}" if f.row is not None else None,
    log=Log(
        payload="{dut.first.held > 40'h7f_ffff_ffff, harness_compared, o_sum}",
        width=105,
        when="o_valid & o_sum[0]",
        state="dut.first.held > 40'h7f_ffff_ffff",
    ),
)
MASK = np.uint64((1 << 40) - 1)


def adder_values(cycles: int, seed: int = 1) -> list[np.ndarray]:
    """Values of every field of the adder, uint64[cycles] each."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 1 << 40, (2, cycles), dtype=np.uint64)
    valid = rng.integers(0, 2, cycles, dtype=np.uint64)
    total, out_valid = np.zeros((2, cycles), np.uint64)
    total[1:] = ((a + b) & MASK)[:-1]
    out_valid[1:] = valid[:-1]
    return [a, b, valid, total, out_valid, total]


def pack(fields, values) -> np.ndarray:
    """The trace: uint32[cycles, words]."""
    columns = []
    for f, value in zip(fields, values, strict=True):
        columns += [(value >> np.uint64(32 * word)).astype(np.uint32) for word in range(f.words)]
    return np.stack(columns, axis=1)


def adder_trace(cycles: int, seed: int = 1) -> np.ndarray:
    return pack(FIELDS, adder_values(cycles, seed))


@pytest.fixture(scope="module", params=["verilator", pytest.param("icarus", marks=needs_icarus)])
def adder(request):
    text = ADDER if request.param == "verilator" else ADDER.replace('$c("std::abort();")', "$finish")
    return build([text], HARNESS, simulator=request.param, opt_level=0)


@pytest.fixture
def seed():
    value = random.SystemRandom().randrange(1 << 32)
    print(f"seed {value}")
    return value


def test_agreement(adder, seed):
    values = adder_values(1000, seed)
    pieces, fed = np.array_split(pack(FIELDS, values), 7), []
    outcome = replay(adder, iter(pieces), progress=fed.append)
    assert outcome.passed and outcome.failure is None and outcome.mismatches == []
    assert outcome.compared_cycles == 1000
    assert fed[-1] == 1000 and len(fed) == 7


@pytest.mark.parametrize("flip", [None, 0, -1])
def test_trace_longer_than_the_buffer_between(adder, seed, flip):
    """Pieces shorter and longer than what fits between the processes; a wrong bit in the first or the last record."""
    cycles = 4 * max(HALF_BYTES, PIPE_BYTES) // (4 * record_words(FIELDS))
    trace = adder_trace(cycles, seed)
    if flip is not None:
        trace[flip, record_words(FIELDS[:3])] ^= 1
    pieces = np.split(trace, [1, 3, cycles // 2, cycles // 2 + 1000])
    outcome = replay(adder, pieces)
    assert outcome.passed == (flip is None)
    assert outcome.compared_cycles == (1 if flip == 0 else cycles)
    assert [m.cycle for m in outcome.mismatches] == ([] if flip is None else [flip % cycles])


def test_log_comes_from_the_device(adder, seed):
    _, _, _, total, out_valid, held = adder_values(500, seed)
    outcome = replay(adder, [adder_trace(500, seed)])
    large = (held > 0x7F_FFFF_FFFF).astype(np.uint64)
    cycles = np.flatnonzero((out_valid == 1) & (total % 2 == 1) | (np.diff(large, prepend=np.uint64(0)) != 0))
    # 105 bits: the sum, the cycle above it, then the bit.
    words = [total & 0xFFFFFFFF, total >> 32 | np.arange(500, dtype=np.uint64) << 8, np.zeros(500), large << 8]
    assert (outcome.entries == np.stack(words, axis=1)[cycles]).all()
    assert len(outcome.entries) == len(cycles) > 100


def test_every_flipped_bit_is_caught_and_named(adder, seed):
    rng = random.Random(seed)
    clean = adder_trace(300, seed)
    for _ in range(8 if adder.simulator == "verilator" else 3):
        cycle, index = rng.randrange(300), rng.randrange(3, len(FIELDS))
        field, bit = FIELDS[index], rng.randrange(FIELDS[index].width)
        trace = clean.copy()
        trace[cycle, record_words(FIELDS[:index]) + bit // 32] ^= np.uint32(1 << bit % 32)
        outcome = replay(adder, [trace])
        assert not outcome.passed
        assert outcome.compared_cycles == cycle + 1
        [mismatch] = outcome.mismatches
        assert mismatch.cycle == cycle
        [(found, expected, actual)] = mismatch.fields
        assert found == field
        assert expected ^ actual == 1 << bit
        assert actual == int(adder_values(300, seed)[index][cycle])
        assert outcome.failure.startswith(f"cycle {cycle}: {field.name}")


def test_all_differing_fields_are_listed_in_order(adder):
    trace = adder_trace(50)
    trace[20, 7] ^= 1
    trace[20, 5] ^= 1
    trace[30, 5] ^= 1
    [mismatch] = replay(adder, [trace]).mismatches
    assert mismatch.cycle == 20
    assert [f.name for f, *_ in mismatch.fields] == ["o_sum", "o_valid"]


def test_register_is_named_with_its_place(adder):
    trace = adder_trace(50)
    trace[20, 9] ^= 1
    assert "held_r0_c3 is" in replay(adder, [trace]).failure


def test_bits_above_a_field_are_compared(adder):
    trace = adder_trace(50)
    trace[20, 7] |= 1 << 31
    [mismatch] = replay(adder, [trace]).mismatches
    assert mismatch.fields[0][1] >> 31 == 1


def test_wrong_input_shows_in_the_next_cycle(adder):
    trace = adder_trace(50)
    trace[20, 0] ^= 1
    [mismatch] = replay(adder, [trace]).mismatches
    assert mismatch.cycle == 21
    assert [f.name for f, *_ in mismatch.fields] == ["o_sum", "held"]


def test_mismatch_stops_a_trace_without_end(adder):
    def pieces():
        yield adder_trace(10)
        wrong = adder_trace(10) ^ 1
        while True:
            yield wrong

    assert replay(adder, pieces()).mismatches[0].cycle == 10


@pytest.mark.parametrize("pieces", [[], [np.zeros((0, 10), np.uint32)]])
def test_empty_trace_fails(adder, pieces):
    outcome = replay(adder, pieces)
    assert not outcome.passed and outcome.compared_cycles == 0
    assert outcome.failure == "nothing was compared"


def test_fewer_cycles_than_expected_fail(adder):
    outcome = replay(adder, [adder_trace(9)], expected_cycles=10)
    assert not outcome.passed
    assert outcome.failure == "9 cycles were compared, 10 were announced"


@pytest.mark.parametrize(
    "piece", [np.zeros((2, 9), np.uint32), np.zeros((2, 10), np.int64), np.zeros(10, np.uint32)], ids=str
)
def test_malformed_piece(adder, piece):
    with pytest.raises(ValueError, match=r"must be uint32\[cycles, 10\], not "):
        replay(adder, [adder_trace(5), piece])


def test_failing_model_leaves_no_simulator_behind(adder, monkeypatch):
    processes = []
    start = type(adder).start
    monkeypatch.setattr(type(adder), "start", lambda *args: processes.append(start(*args)) or processes[-1])

    def pieces():
        yield adder_trace(5)
        raise KeyError("model")

    with pytest.raises(KeyError, match="model"):
        replay(adder, pieces())
    assert processes[0].returncode is not None


def test_old_runs_are_removed(adder, monkeypatch, tmp_path):
    monkeypatch.setattr(verif.simulation.runs, "KEPT_RUNS", 1)
    # A copy: other processes of the test run use the build at the same time.
    shutil.copytree(adder.directory, tmp_path / "build", ignore=shutil.ignore_patterns("runs"))
    own = dataclasses.replace(adder, directory=tmp_path / "build")
    logs = [replay(own, [adder_trace(5)]).log for _ in range(3)]
    assert [log.exists() for log in logs] == [False, True, True]


def test_crash_is_reported(adder):
    trace = adder_trace(10_000)
    trace[5, 0:2] = 0xDEAD, 0
    with pytest.raises(SimulatorError, match=r"the simulator ended .*simulator\.log"):
        replay(adder, [trace[:7]] + [trace[7:]] * 100)


def test_simulator_that_is_stopped_from_outside(adder, monkeypatch):
    start, started = type(adder).start, []

    def start_and_keep(*args):
        started.append(start(*args))
        return started[-1]

    monkeypatch.setattr(type(adder), "start", start_and_keep)

    def pieces():
        yield adder_trace(10)
        # Asked for more: the simulator reads the trace by now.
        started[0].kill()
        while True:
            yield adder_trace(10)

    with pytest.raises(EnvironmentFault, match="the simulator was killed by SIGKILL"):
        replay(adder, pieces())


def test_simulator_that_never_reads(adder, monkeypatch):
    (adder.directory / "runs").mkdir(exist_ok=True)
    broken = type(adder)(adder.directory / "runs", adder.simulator, adder.harness)
    if adder.simulator == "verilator":
        with pytest.raises(FileNotFoundError):
            replay(broken, [adder_trace(10)])
    else:
        with pytest.raises(SimulatorError, match="ended before it read the trace"):
            replay(broken, [adder_trace(10)])


def test_hung_simulator_is_stopped(adder, monkeypatch):
    start = type(adder).start

    def start_stopped(*args):
        process = start(*args)
        os.kill(process.pid, signal.SIGSTOP)
        return process

    monkeypatch.setattr(type(adder), "start", start_stopped)
    with pytest.raises(SimulatorError, match="did not open the trace"):
        replay(adder, [adder_trace(10)], stall_timeout=1)


@needs_icarus
def test_undefined_bits_never_pass(tmp_path):
    text = "module holder(input clk, input rst, output reg [3:0] o); always @(posedge clk) o[2:0] <= 5; endmodule"
    fields = (Field("o", 4),)
    simulation = build([text], Harness(dut="holder", fields=fields), simulator="icarus", root=tmp_path)
    for value in (5, 13):
        outcome = replay(simulation, [np.full((10, 1), value, np.uint32)])
        assert outcome.mismatches[0].fields == [(fields[0], value, "X101")]
        assert outcome.failure == f"cycle 0: o is X101, expected {value:#x}"


@pytest.mark.parametrize("simulator", ["verilator", pytest.param("icarus", marks=needs_icarus)])
def test_combinational_device(simulator):
    text = "module inverter(input [32:0] i, output [32:0] o); assign o = ~i; endmodule"
    fields = (Field("i", 33, drive=True), Field("o", 33))
    harness = Harness(dut="inverter", fields=fields, has_clock=False)
    simulation = build([text], harness, simulator=simulator, opt_level=0)
    values = np.random.default_rng(1).integers(0, 1 << 33, 100, dtype=np.uint64)
    trace = pack(fields, [values, ~values & np.uint64((1 << 33) - 1)])
    assert replay(simulation, [trace]).passed
    trace[99, 3] ^= 1
    assert replay(simulation, [trace]).mismatches[0].cycle == 99
