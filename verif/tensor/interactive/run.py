"""Builds a tensor engine with its ports open to cocotb and runs the benches in ``cocotb_tests`` on it."""

import json
import os
import random
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from arch.environment import EnvironmentFault
from arch.tensor.config import EngineConfig
from arch.tensor.signals import engine_fields
from hw.tensor.verilog import engine_verilog
from verif.simulation.harness import TOP, Harness
from verif.simulation.runs import run_folder
from verif.simulation.simulator import Simulation, SimulatorError, build, crash, end
from verif.tensor.interactive.resets import Reset, recorded_resets
from verif.tensor.paths import column_stores

__all__ = ["InteractiveRun", "run_interactive"]


@dataclass(frozen=True, kw_only=True)
class OpenHarness(Harness):
    """The device with its ports, a clock and a reset as signals that cocotb drives and reads; no process.

    Parameters
    ----------
    probes : mapping of str to str
        Further one-bit signals by name: Verilog expressions.
    """

    probes: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """The module as SystemVerilog, for Verilator and Icarus Verilog."""
        public = "/*verilator public_flat_rw*/"
        names = ["clk", "rst", *(f.name for f in self.fields)]
        return "\n".join(
            [
                "`timescale 1ns / 1ns",
                f"module {TOP};",
                f"  reg clk {public} = 0;",
                f"  reg rst {public} = 0;",
                *(
                    f"  {'reg' if f.drive else 'wire'} [{f.width - 1}:0] {f.name} {public}{' = 0' if f.drive else ''};"
                    for f in self.fields
                ),
                f"  {self.dut} dut (",
                ",\n".join(f"    .{name}({name})" for name in names),
                "  );",
                *(f"  wire {name} {public} = {expression};" for name, expression in self.probes.items()),
                "endmodule",
                "",
            ]
        )


@dataclass(frozen=True, kw_only=True)
class InteractiveRun:
    """What the benches said.

    seed : int
        Reproduces the run.
    failures : dict of str to str or None
        Each bench that ran, with why it failed; None if it passed.
    resets : list of Reset
        Resets in mid-run.
    log : Path
        The simulator's output.
    """

    seed: int
    failures: dict[str, str | None]
    resets: list[Reset]
    log: Path

    @property
    def passed(self) -> bool:
        """Some bench ran, and none failed."""
        return bool(self.failures) and not self.failed

    @property
    def failed(self) -> list[str]:
        """Names of the benches that failed."""
        return [name for name, failure in self.failures.items() if failure is not None]

    def lines(self) -> list[str]:
        """A line per bench, after one that says how to repeat them."""
        verdicts = [f"{name}: {failure or 'passed'}" for name, failure in self.failures.items()]
        return [f"seed {self.seed} (SEED={self.seed} repeats it), log {self.log}", *verdicts]


def run_interactive(
    config: EngineConfig,
    *,
    simulator: str = "verilator",
    seed: int | None = None,
    rewrite: Callable[[str], str] | None = None,
    root: Path | None = None,
    timeout: float = 600.0,
) -> InteractiveRun:
    """Run every bench of ``verif.tensor.interactive.cocotb_tests`` on the RTL of a configuration.

    Parameters
    ----------
    simulator : str
        ``verilator`` or ``icarus``.
    seed : int or None
        Of everything random; None: the environment's ``SEED``, or a new one.
    rewrite : callable
        Changes the emitted Verilog first: a bench of the bench plants its bugs with it.
    root : Path or None
        Directory of builds, as for ``build``.
    timeout : float
        Seconds after which the simulator counts as hung and is stopped.

    Raises
    ------
    SimulatorError
        If there is no simulator, the build fails, or the simulator crashes or hangs.
    EnvironmentFault, OSError
        The machine is the reason.
    """
    if seed is None:
        seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 31))
    text = engine_verilog(config)
    if rewrite is not None:
        text = rewrite(text)
    stored = " | ".join(column_stores(config, col) for col in range(config.cols))
    harness = OpenHarness(
        dut="tensor_engine", fields=engine_fields(config, registers=False), probes={"harness_stored": stored}
    )
    # Python takes most of the time: optimised C++ would not pay.
    simulation = build([text], harness, simulator=simulator, opt_level=0, root=root)
    with run_folder(simulation.directory) as run:
        setup = run / "setup.json"
        setup.write_text(json.dumps({"config": asdict(config), "seed": seed}), encoding="utf-8")
        failures = _run(simulation, run, [f"+setup={setup}"], timeout)
        outcome = InteractiveRun(seed=seed, failures=failures, resets=recorded_resets(run), log=run / "simulator.log")
    print(*outcome.lines(), sep="\n")
    return outcome


def _run(simulation: Simulation, run: Path, plusargs: Sequence[str], timeout: float) -> dict[str, str | None]:
    """Each bench with why it failed; SimulatorError if the simulator ended without a verdict."""
    process = simulation.start("verif.tensor.interactive.cocotb_tests", run, plusargs)
    try:
        code = process.wait(timeout)
        results = run / "results.xml"
        if code or not results.exists():
            raise crash(process, f"ended with code {code}", run / "simulator.log")
        return _failures(results)
    except subprocess.TimeoutExpired:
        raise SimulatorError(f"the simulator did not end within {timeout:g} s ({run / 'simulator.log'})") from None
    finally:
        end(process)


def _failures(results: Path) -> dict[str, str | None]:
    """cocotb's verdicts; EnvironmentFault if they are not whole."""
    try:
        cases = list(ElementTree.parse(results).iter("testcase"))
    except ElementTree.ParseError:
        raise EnvironmentFault(f"cocotb's verdicts are cut short: {results}") from None
    failures: dict[str, str | None] = {}
    for case in cases:
        found = [*case.iter("failure"), *case.iter("error")]
        # The first line: pytest's account of an assertion follows it.
        failures[case.get("name")] = (found[0].get("message") or "failed").partition("\n")[0] if found else None
    return failures
