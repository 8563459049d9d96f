"""A test bench in plain Verilog with memory as the golden model leaves it: it needs a simulator and nothing else."""

from pathlib import Path

from arch.core.config import CoreConfig
from arch.core.registers import id_value, registers
from hw.core.axi import WRAPPER
from hw.tensor.verilog import banner
from verif.core.programs import random_program
from verif.core.workload import job_of, window_of
from verif.simulation import plain_bench

__all__ = ["FILES", "bench_texts", "run_command"]

#: Files beside the bench: memory before the program, and after it.
FILES = ("image", "expected")
#: Registers that the bench names.
_NAMED = (
    "ID", "CONTROL", "STATUS", "ERROR_NUMBER", "PROGRAM_LOW", "PROGRAM_HIGH", "PROGRAM_COUNT", "PAGES", "CYCLES_LOW",
    "BEATS_READ_LOW", "BEATS_WRITTEN_LOW",
)  # fmt: skip
#: Where memory begins: above what 32 bits can address.
_BASE = 0x12_3450_0000


def run_command(core: str) -> str:
    """The line that runs, in its folder, the bench of the core in a file ``NAME.v``."""
    return plain_bench.run_command(core, "_axi.sv")


def bench_texts(config: CoreConfig, core: str, wrapper: str = WRAPPER, seed: int = 1) -> dict[str, str]:
    """The bench, module ``tb``, of a core in a file ``NAME.v`` with its wrapper, module ``wrapper``; and its files.

    It is ``bench.v`` beside this file with its parameters set. It reads ``NAME_image.hex`` and so on from the present
    folder.
    """
    program = random_program(config, seed, base=_BASE, work=256)
    job, before, after = job_of(program), *window_of(program, config)
    name = Path(core).stem
    values: dict[str, int | str] = {"BEAT_BYTES": config.beat_bytes, "BEATS": len(before) // config.beat_bytes}
    values |= {"BASE": f"40'h{job.base:x}", "PROGRAM": f"40'h{job.address:x}", "INSTRUCTIONS": len(job.program)}
    values |= {"PAGES": job.pages, "ID": f"32'h{id_value(config):08x}"}
    values |= {f"{file.upper()}_FILE": f'"{name}_{file}.hex"' for file in FILES}
    at = {register.name: register.address for register in registers(config)}
    values |= {f"AT_{register}": f"12'h{at[register]:03x}" for register in _NAMED}
    text = plain_bench.filled(Path(__file__).with_name("bench.v"), values)
    bench = f"""\
{banner(config, "Test bench of the core")}\
// Starts a program of {len(job.program)} instructions through the registers, waits for the interrupt, and compares
// memory with what the golden model says. Memory pauses and stalls at random. In the folder of the files:
//   {run_command(core)}
// Prints PASS, or FAIL at the first thing wrong; vvp's exit code is then 1. +seed=N: other pauses and stalls.

{text.replace(f"{WRAPPER} dut", f"{wrapper} dut")}"""
    return {"bench": bench} | {
        file: _hex(contents, config.beat_bytes) for file, contents in zip(FILES, (before, after), strict=True)
    }


def _hex(contents: bytes, beat: int) -> str:
    """$readmemh's text: a line for each beat."""
    lines = (contents[at : at + beat][::-1].hex() for at in range(0, len(contents), beat))
    return "\n".join(lines) + "\n"
