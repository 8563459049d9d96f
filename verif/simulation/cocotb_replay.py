"""The part of a replay that runs inside the simulator: it starts the harness and reports how it ended."""

import json
import time
from pathlib import Path

import cocotb
from cocotb.triggers import RisingEdge

from verif.simulation.harness import Status
from verif.simulation.leash import follow_parent


@cocotb.test
async def replay(dut) -> None:
    """Every announced record was compared, at least one, and none differed."""
    follow_parent()
    started = time.process_time()
    dut.harness_start.value = 1
    await RisingEdge(dut.harness_finished)
    cpu_seconds = time.process_time() - started

    status = int(dut.harness_status.value)
    compared = int(dut.harness_compared.value)
    entries = int(dut.harness_entries.value)
    report = {"status": status, "compared": compared, "entries": entries, "cpu_seconds": cpu_seconds}
    if status == Status.MISMATCH:
        # Binary text: a word of the device may hold X or Z.
        report["expected"] = [str(word.value) for word in dut.harness_record]
        report["actual"] = [str(word.value) for word in dut.harness_actual]
    Path(cocotb.plusargs["report"]).write_text(json.dumps(report), encoding="utf-8")

    assert status != Status.NO_FILE, "the trace or the log could not be opened"
    assert status != Status.TRUNCATED, f"record {compared} of the trace is cut short"
    assert status != Status.MISMATCH, f"cycle {compared - 1} differs from the trace"
    # Written before the trace is closed, hence before its end is seen here.
    announced = int(Path(cocotb.plusargs["announced"]).read_text(encoding="utf-8"))
    assert compared == announced, f"{compared} cycles were compared, {announced} announced"
    assert compared > 0, "nothing was compared"
