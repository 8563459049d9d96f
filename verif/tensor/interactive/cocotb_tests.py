"""Interactive benches of the tensor engine, run inside the simulator: idle, stall, reset, a full PSUM.

``verif.tensor.interactive.run`` builds the device and starts them.
"""

import cocotb
import numpy as np

from golden.tensor.jobs import Gemm, golden_result
from golden.tensor.schedule import gemm_cycles, readout_cycles
from verif.simulation.scoreboard import CycleScoreboard
from verif.simulation.streams import PERIOD
from verif.tensor.interactive.resets import RESET_STATES
from verif.tensor.interactive.testbench import INPUTS, EngineBench

#: A bench that takes longer has hung.
LIMIT = {"timeout_time": 20_000 * PERIOD, "timeout_unit": "ns"}
#: Cycles for which a full engine must hold.
HOLD = 2_100


async def _run_alone(bench: EngineBench, job: Gemm) -> None:
    """A GEMM right after reset, unhindered: its result, its cycles, and those of the read-out behind it."""
    bench.offer(job)
    await bench.settle()
    bench.rows.close()
    assert np.array_equal(bench.matrix(job), golden_result(job, bench.config)), f"{job}: wrong result"
    counted = CycleScoreboard(f"{job}, measured")
    for expected, observed in (
        (gemm_cycles(*job.shape, bench.config), bench.last_store - bench.first_weight + 1),
        (readout_cycles(*job.shape, bench.config), bench.last_result - bench.last_store),
    ):
        counted.expect(expected)
        counted.observe(observed)
    counted.close()


async def _fill(bench: EngineBench, job: Gemm) -> None:
    """Block the sink and offer GEMMs until the engine holds: its PSUM is full and so is the read-out."""
    bench.sink.stall = 1.0
    bench.offer(job)
    await bench.settle()
    rows = bench.config.psum_depth + bench.config.readout_latency
    assert bench.first_rows == rows, f"the engine holds {bench.first_rows} rows, it has room for {rows}"
    assert int(bench.sink.port.valid.value), "no result is offered to a sink that is not ready"


def _overfull(bench: EngineBench, k_tiles: int) -> Gemm:
    """More rows than PSUM and read-out hold, with a last block, K tile and N tile that are not full."""
    config = bench.config
    k = (k_tiles - 1) * config.rows + max(1, config.rows - 1)
    return bench.gemm(m=config.psum_depth // 2 + 9, k=k, n=2 * config.cols + 1)


@cocotb.test(**LIMIT)
@cocotb.parametrize(idle=(0.0, 0.5), stall=(0.0, 0.5))
async def random_gemms(dut, idle: float, stall: float) -> None:
    """GEMMs of random bits, sizes and formats, one behind another."""
    bench = EngineBench(dut, f"random_gemms {idle} {stall}", idle=idle, stall=stall)
    await bench.start()
    for _ in range(8):
        bench.offer(bench.gemm())
    await bench.close()


@cocotb.test(**LIMIT)
async def cycle_counts(dut) -> None:
    """GEMMs one at a time take the cycles that the schedule says."""
    bench = EngineBench(dut, "cycle_counts")
    await bench.start()
    for sizes in ((1, 1, 1), (1, 3 * bench.config.rows, 3 * bench.config.cols), (), (), ()):
        await _run_alone(bench, bench.gemm(*sizes))
        await bench.reset()


@cocotb.test(**LIMIT)
@cocotb.parametrize(slow=INPUTS)
async def slow_stream(dut, slow: str) -> None:
    """One input far behind the two others."""
    bench = EngineBench(dut, f"slow_stream {slow}")
    bench.sources[slow].idle = 0.9
    await bench.start()
    for _ in range(3):
        bench.offer(bench.gemm())
    await bench.close()


@cocotb.test(**LIMIT)
async def unused_lanes(dut) -> None:
    """Codes of lanes beyond a tile's K and N do not matter."""
    bench = EngineBench(dut, "unused_lanes")
    await bench.start()
    rows, cols = bench.config.rows, bench.config.cols
    # Lanes without a weight of their own keep the one of a longer tile: that comes first.
    for k, n in 2 * ((2 * rows - 1, max(1, cols - 1)), (1, 1), (max(1, rows - 1), 2 * cols - 1)):
        job = bench.gemm(m=2 * rows, k=k, n=n)
        for garbage in (True, False, True):
            bench.offer(job, garbage=garbage)
    await bench.close()


@cocotb.test(**LIMIT)
async def reset_in_mid_run(dut) -> None:
    """Reset at any time and in every state; the GEMM after it is right and as fast as ever."""
    bench = EngineBench(dut, "reset_in_mid_run")
    await bench.start()
    rows, cols = bench.config.rows, bench.config.cols
    # A full PSUM has a bench of its own.
    for state in (*3 * [None], *RESET_STATES[:-1]):
        bench.pace(idle=0.5, stall=0.5)
        for _ in range(3):
            bench.offer(bench.gemm() if state is None else bench.gemm(2 * rows, 2 * rows, cols))
        if state is None:
            await bench.cycles(bench.rng.randint(1, 100))
        else:
            await bench.until(state)
        await bench.reset()
        bench.pace(idle=0.0, stall=0.0)
        await _run_alone(bench, bench.gemm())
        await bench.reset()


@cocotb.test(**LIMIT)
async def reset_when_full(dut) -> None:
    """Reset while PSUM is full frees all of it: PSUM can be filled once more, and then drained."""
    bench = EngineBench(dut, "reset_when_full", stall=1.0)
    await bench.start()
    await _fill(bench, _overfull(bench, k_tiles=1))
    await bench.reset()
    await _fill(bench, _overfull(bench, k_tiles=1))
    bench.sink.stall = 0.0
    await bench.close()


@cocotb.test(**LIMIT)
@cocotb.parametrize(k_tiles=(1, 2))
async def back_pressure(dut, k_tiles: int) -> None:
    """A sink that is not ready for thousands of cycles: the engine fills up, holds, and loses nothing."""
    bench = EngineBench(dut, f"back_pressure {k_tiles}", stall=1.0)
    await bench.start()
    await _fill(bench, _overfull(bench, k_tiles))
    held = bench.transfers
    await bench.cycles(HOLD)
    assert bench.transfers == held, "the engine took or gave something while it was full"
    bench.sink.stall = 0.5
    await bench.close()
