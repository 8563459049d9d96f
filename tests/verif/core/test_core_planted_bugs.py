"""Bugs planted in blocks of the core's Verilog: each is seen, and its report names the block and an instruction."""

import os
import re
import shutil
from dataclasses import dataclass, field

import pytest

from arch.core.presets import CORES
from verif.core.programs import random_program
from verif.core.unit import core_unit
from verif.core.workload import job_of
from verif.simulation.simulate import simulate_unit

SEED = int(os.environ.get("SEED", 5))
#: Icarus builds in a second, and these runs are short.
SHORT = "icarus" if shutil.which("iverilog") else "verilator"
TINY = CORES["tiny"]


@dataclass(frozen=True)
class Bug:
    """In modules whose names begin so a pattern, which occurs ``count`` times, is replaced.

    ``file``: which the report names; ``place``: where it says that the bug shows; ``kinds``: what the programs hold.
    """

    module: str
    pattern: str
    replacement: str
    file: str
    place: str
    kinds: tuple[str, ...] = ("dma", "matmul", "vector", "scalar")
    pace: dict = field(default_factory=lambda: {"latency": 3, "idle": 0.2, "stall": 0.2})
    count: int = 1

    def plant(self, text: str) -> str:
        """The Verilog with it."""
        found = 0

        def change(module: re.Match) -> str:
            nonlocal found
            changed, times = re.subn(self.pattern, self.replacement, module[0])
            found += times
            return changed

        text = re.sub(rf"^module {self.module}\w*\(.*?^endmodule$", change, text, flags=re.DOTALL | re.MULTILINE)
        assert found == self.count, f"{self.pattern!r} occurs {found} times, not {self.count}: the bug no longer fits"
        return text


BUGS = {
    # The vector engine is served beside the tensor engine.
    "sbuf": Bug("sbuf", r"(assign read_gets_2 = read_wants_2) & \w+;", r"\1;", "sbuf.py", "SBUF read port 2, grant"),
    # A row is kept that is not the one of the element.
    "reader": Bug("reader", r"if \(fresh\) held <=", "if (1) held <=", "reader.py", ""),
    # The write stage does not wait for its grant. (The vector engine's never has to.)
    "lane_engine": Bug("scalar_engine", r"(assign o_advance = \w+ \|) write__grant;", r"\1 1'h1;", "lane_engine.py",
                       "lane engine 1, pipeline moves"),
    "float_alu": Bug("float_alu", r"order__o_less \? i_x : i_a;", "order__o_less ? i_a : i_x;", "float_alu.py",
                     "SBUF write port 0", ("vector",)),
    # The largest of numbers with their signs.
    "reducer": Bug("reducer", r"(assign element =) \w+ \? \{[^}]*\} : i;", r"\1 i;", "reducer.py", "SBUF write port 0",
                   ("vector",)),
    "scalar_lane": Bug("scalar_lane", r"(assign y = i_keep \? function__o)", r"\1 ^ 32'h10000000", "scalar_lane.py",
                       "SBUF write port 1", ("scalar",)),
    # A short distance is not passed on.
    "front_end": Bug("tensor_front_end", r"= rows < 3'h6;", "= rows < 3'h3;", "front_end.py",
                     "tensor engine, command payload"),
    # The head of a queue waits for nobody.
    "instruction_queue": Bug("instruction_queue", r"(assign o_start = \w+) & ready;", r"\1;", "instruction_queue.py",
                             "", count=4),
    # A wait for the oldest instruction that is not complete is forgotten.
    "dispatcher": Bug("dispatcher", r"(o_outstanding__3) >= ", r"\1 > ", "dispatcher.py", ""),
    # Of the two halves of the buffer one is used.
    "dma_queue": Bug("dma_queue", r"ahead < 2'h2;", "ahead < 2'h1;", "dma_queue.py", ""),
    # Every word is filled as a whole.
    "lane_buffer": Bug("lane_buffer", r"(assign \{ \w+\[8\], drain_base \} = i_drain\[29:22\]) - i_drain\[2\];", r"\1;",
                       "lane_buffer.py", "port o_w__payload", ("dma",)),
    # One burst more than may be in flight.
    "memory_port": Bug("memory_port", r"(assign \w+ =) read_may & (\w+);", r"\1 \2;",
                       "memory_port.py", "port o_ar__valid", ("dma",), {"latency": 50}),
}  # fmt: skip
QUICK = ("float_alu", "dispatcher")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in BUGS])
def test_a_planted_bug_is_placed(name):
    print(f"seed {SEED}")
    bug = BUGS[name]
    programs = [random_program(TINY, SEED + n, work=512, kinds=bug.kinds) for n in range(4)]
    jobs = [job_of(program) for program in programs]
    run = simulate_unit(core_unit(TINY), jobs, pace=bug.pace | {"seed": SEED}, simulator=SHORT, rewrite=bug.plant)
    found = run.divergence
    assert found is not None, "the bug was not seen"
    print("\n".join(run.lines()))
    assert bug.file in re.findall(r"\w+\.py", found.stage)
    assert bug.place in ("", found.first.place)
    number = re.match(r"instruction (\d+) \((\w+) ", found.term)
    assert number, found.term
    assert f"({programs[found.number].program[int(number[1])]})" in found.term
