"""The files that ``systolith verilog`` writes: engine, wrapper, waivers, page, test bench and FuseSoC core."""

import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from arch.tensor.config import EngineConfig
from hw.tensor.axi import axi_verilog, waivers, wrapper_name
from hw.tensor.engine import TensorEngine
from hw.tensor.verilog import describe, engine_verilog
from scripts.ground.errors import InputError
from scripts.ground.files import check_writable, save
from verif.tensor.verilog_bench import STREAMS, bench_gemms, bench_verilog, make_vectors

__all__ = ["check_icarus", "fusesoc_core", "output_files", "run_bench", "verilog_texts", "write_texts"]

#: A name that needs no quotes in a shell, in Verilog, in YAML and in a FuseSoC core's name.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def output_files(out: str, *, bench: bool, fusesoc: bool) -> dict[str, str]:
    """Paths by what is in them, the engine's first. InputError if one cannot be written or would replace another."""
    target = Path(out)
    name = target.stem
    if not _NAME.fullmatch(name) or target.suffix not in (".v", ".sv"):
        raise InputError(f"--out: {out!r} is no name of Verilog; needs letters, digits, _ or -, and .v at its end")
    endings = {"page": ".md", "wrapper": "_axis.sv", "waivers": ".vlt"}
    if bench:
        endings |= {"bench": "_tb.v", **{stream: f"_{stream}.hex" for stream in STREAMS}}
    if fusesoc:
        endings["core"] = ".core"
    paths = {"engine": out} | {key: str(target.with_name(name + ending)) for key, ending in endings.items()}
    for path in paths.values():
        check_writable(path)
    return paths


def verilog_texts(
    config: EngineConfig, paths: dict[str, str], target: str | None = None, module: str = TensorEngine.module_name
) -> dict[str, str]:
    """Texts by path; the engine is a module of that name."""
    if not _MODULE.fullmatch(module):
        raise InputError(f"--module: {module!r} is no name of a module; needs letters, digits or _, no digit first")
    engine = Path(paths["engine"])
    name = engine.stem
    texts = {
        "engine": engine_verilog(config, target, name=module),
        "page": describe(config, module),
        "wrapper": axi_verilog(config, module),
        "waivers": waivers(engine.name),
    }
    if "bench" in paths:
        vectors = make_vectors(config, bench_gemms(config))
        texts |= {"bench": bench_verilog(config, engine.name, vectors, wrapper_name(module)), **vectors.files}
    if "core" in paths:
        texts["core"] = fusesoc_core(name, {key: Path(path).name for key, path in paths.items()}, wrapper_name(module))
    return {path: texts[key] for key, path in paths.items()}


def write_texts(texts: dict[str, str]) -> None:
    """Write files by path."""
    for path, text in texts.items():
        save(path, text)


def fusesoc_core(name: str, files: dict[str, str], wrapper: str) -> str:
    """The CAPI2 core file of an engine with its wrapper, bench and waivers, whose names are in ``files``."""
    vectors = "".join(f"      - {files[stream]}: {{file_type: user, copyto: {files[stream]}}}\n" for stream in STREAMS)
    return f"""\
CAPI=2:
name: systolith:engine:{name}:{version("systolith")}
description: Systolith tensor engine with AXI4-Stream ports, and its test bench

filesets:
  rtl:
    files:
      - {files["engine"]}: {{file_type: verilogSource}}
      - {files["wrapper"]}: {{file_type: systemVerilogSource}}
  waivers:
    files:
      - {files["waivers"]}: {{file_type: vlt}}
  tb:
    files:
      - {files["bench"]}: {{file_type: verilogSource}}
{vectors}
targets:
  default:
    filesets: [rtl]
    toplevel: {wrapper}
  sim:
    flow: sim
    flow_options:
      tool: icarus
      iverilog_options: [-g2012]
    filesets: [rtl, tb]
    toplevel: tb
  lint:
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: [-Wall]
    filesets: [rtl, waivers]
    toplevel: {wrapper}
"""


def check_icarus() -> None:
    """InputError without Icarus Verilog."""
    for program in ("iverilog", "vvp"):
        if shutil.which(program) is None:
            raise InputError(f"--run: {program} not found; needs Icarus Verilog (apt-get install iverilog)")


def run_bench(paths: dict[str, str]) -> bool:
    """Run the bench with Icarus Verilog in the folder of the files, its output passed on; whether it passed."""
    bench = Path(paths["bench"])
    program = bench.with_suffix(".vvp").name
    sources = [Path(paths[key]).name for key in ("bench", "wrapper", "engine")]
    for command in (["iverilog", "-g2012", "-o", program, *sources], ["vvp", "-n", program]):
        if subprocess.run(command, cwd=bench.parent, stdin=subprocess.DEVNULL).returncode:
            return False
    return True
