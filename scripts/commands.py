"""The commands of ``systolith``: options in, a function of one of the rooms, an exit code out."""

import json
from pathlib import Path

import click
import numpy as np

from arch.formats import FORMATS, OPERAND_FORMATS
from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from scripts.flows.fpga.command import fpga
from scripts.ground.errors import InputError
from scripts.ground.exits import DISAGREE, ENVIRONMENT, INTERRUPTED
from scripts.ground.files import check_writable, make_folder, save
from scripts.ground.tensors import load
from scripts.ground.terminal import Terminal
from scripts.running.configs import config_options

__all__ = ["cli"]

_config = click.option("--config", "preset", type=click.Choice(list(PRESETS)), default="fp8", show_default=True)
_backend = click.option("--backend", type=click.Choice(["golden", "rtl"]), default="golden", show_default=True)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
_GEMM_RECIPES = (
    "per-tensor, per-token (X by row, W by column), per-channel (X as a whole, W by column) "
    "or per-block (128 numbers along K)"
)
_ATTENTION_RECIPES = "per-tensor, per-token, per-block, hadamard or hadamard-per-token"
_out = click.option("--out", help="Write the result to this file.")


def _format_options(command):
    """``--x-format`` and ``--w-format``: a format the preset was built for, its first by default."""
    for lane, what in (("w", "weights"), ("x", "activations")):
        choice = click.Choice(OPERAND_FORMATS)
        command = click.option(f"--{lane}-format", type=choice, help=f"Format of the {what}.")(command)
    return command


def _check_formats(config: EngineConfig, preset: str, **formats: str | None) -> list[str]:
    """The formats with the default filled in; InputError for one the preset was not built for."""
    for option, fmt in formats.items():
        if fmt is not None and fmt not in config.formats:
            accepted = ", ".join(config.formats)
            raise InputError(f"--{option.replace('_', '-')}: {preset} has no {fmt}; it takes {accepted}")
    return [fmt or config.formats[0] for fmt in formats.values()]


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=False,
    subcommand_metavar="gemm|attention|run|verilog|sim|regress ...",
)
@click.version_option(package_name="systolith", message="%(prog)s %(version)s")
def cli() -> None:
    """A systolic matrix engine: golden model and simulated RTL, checked against each other every cycle."""


@cli.command()
@click.argument("x_path", metavar="X.npy")
@click.argument("w_path", metavar="W.npy")
@_config
@_format_options
@_out
@click.option("--out-format", type=click.Choice(list(FORMATS)), default="fp32", show_default=True)
@click.option("--recipe", help=f"How float32 inputs are scaled: {_GEMM_RECIPES}.")
@_backend
@_json
def gemm(x_path, w_path, preset, x_format, w_format, out, out_format, recipe, backend, as_json) -> int:
    """Multiply X[M, K] by W[K, N].

    float32 inputs are converted to the format; uint8 and uint16 inputs are its codes. The result is float32 for
    fp32, codes otherwise.
    """
    from scripts.running.gemm import run_gemm

    config = PRESETS[preset]
    x_format, w_format = _check_formats(config, preset, x_format=x_format, w_format=w_format)
    check_writable(out)
    x, w = load(x_path, "X", (2,)), load(w_path, "W", (2,))
    summary = run_gemm(
        x, w, config, x_format=x_format, w_format=w_format, out_format=out_format, recipe=recipe, backend=backend
    )
    return _finish(summary, preset, backend, out, as_json)


@cli.command()
@click.argument("q_path", metavar="Q.npy")
@click.argument("k_path", metavar="K.npy")
@click.argument("v_path", metavar="V.npy")
@_config
@_format_options
@click.option("--recipe", default="per-tensor", show_default=True, help=f"What shares a scale: {_ATTENTION_RECIPES}.")
@click.option("--causal", is_flag=True, help="Query i sees keys up to its own position.")
@_out
@_backend
@_json
def attention(q_path, k_path, v_path, preset, x_format, w_format, recipe, causal, out, backend, as_json) -> int:
    """Quantised attention of Q[H, S, D] to K, V[Hkv, T, D], or of one head without the first dimension.

    --backend rtl: all of it runs on the simulated core, from float32 numbers in its memory; where the core's program
    lacks a recipe, only the products and row sums run on the RTL, and the summary says so.
    """
    from scripts.running.attention import run_attention

    config = PRESETS[preset]
    x_format, w_format = _check_formats(config, preset, x_format=x_format, w_format=w_format)
    check_writable(out)
    q, k, v = (load(p, name, (2, 3)) for p, name in ((q_path, "Q"), (k_path, "K"), (v_path, "V")))
    options = {"recipe": recipe, "x_format": x_format, "w_format": w_format, "causal": causal}
    summary = run_attention(q, k, v, config, backend=backend, **options)
    return _finish(summary, preset, backend, out, as_json)


def _finish(summary, preset: str, backend: str, out: str | None, as_json: bool) -> int:
    """Write the result if the run was right, print the summary, and give the exit code."""
    if out and not summary.mismatches:
        save(out, summary.result)
    record = {"backend": backend, "config": preset} | summary.record()
    if as_json:
        click.echo(json.dumps(record, allow_nan=False))
    else:
        Terminal().table(summary.table(record))
        if out and not summary.mismatches:
            click.echo(f"wrote {click.format_filename(out)}")
    if summary.failures:
        from scripts.running.failures import command_line, show_failures

        show_failures(Terminal(stderr=True), summary.failures, command_line())
    if out and summary.mismatches:
        click.echo(f"{click.format_filename(out)} not written", err=True)
    return DISAGREE if summary.mismatches else 0


@cli.command()
@click.argument("model", metavar="MODEL")
@click.option("--text", help="Give the vector of this text.")
@click.option("--prompt", help="Continue this text.")
@click.option("--tokens", type=click.IntRange(1), default=16, show_default=True, help="Tokens to continue it by.")
@click.option("--tokenizer", metavar="TOK.bin", help="The tokenizer of a llama2.c file.")
@click.option("--config", type=click.Choice(["fp8", "bf16", "tiny"]), default="fp8", show_default=True)
@click.option("--recipe", help="Numbers that products are made of: fp8 or bf16.  [default: what the core has]")
@click.option("--backend", type=click.Choice(["golden", "cycles", "rtl"]), default="golden", show_default=True)
@click.option("--out", help="Write the vector, or the logits after each token, to this .npy file.")
@_json
def run(model, text, prompt, tokens, tokenizer, config, recipe, backend, out, as_json) -> int:
    """Run a whole model on a core: minilm, smollm2, a GGUF or llama2.c file, or a folder as model hubs give it.

    A model that makes vectors takes --text, one that continues texts --prompt. golden knows no time, cycles is the
    core's cycle model, rtl the simulated RTL with every cycle compared; all three give the same bits.
    """
    from scripts.models.command import run_command

    check_writable(out)
    return run_command(
        model,
        text=text,
        prompt=prompt,
        tokens=tokens,
        tokenizer=tokenizer,
        config=config,
        recipe=recipe,
        backend=backend,
        out=out,
        as_json=as_json,
    )


@cli.command()
@click.option("--m", type=click.IntRange(1), help="Rows of X and of the result.")
@click.option("--k", type=click.IntRange(1), help="Columns of X, rows of W.")
@click.option("--n", type=click.IntRange(1), help="Columns of W and of the result.")
@config_options
@click.option("--workload", metavar="NAME", help="This workload alone, layer by layer.")
@click.option("--file", "path", metavar="FILE.csv", help="Your own: workload,layer,m,k,n,count.")
@_json
def cycles(m, k, n, chosen, workload, path, as_json) -> int:
    """Count the cycles of X[M, K] @ W[K, N], or of real networks, and say where they go.

    Without --m, --k and --n: ResNet-50, BERT, GPT-2 and Llama-2-7B. Nothing is simulated.
    """
    from scripts.running.cycles import run_cycles

    record, table = run_cycles((m, k, n), workload, path, chosen.config)
    if as_json:
        click.echo(json.dumps({"config": chosen.name} | record))
    else:
        Terminal().table(table)
    return 0


@cli.command()
@click.argument("path", metavar="FILE")
def disassemble(path) -> int:
    """Print a core's program: for each instruction its number, its queue and its fields.

    Fields that have the value that they have by default are left out.
    """
    from scripts.running.disassembly import disassembly

    click.echo("\n".join(disassembly(path)))
    return 0


@cli.command()
@config_options
@click.option("--core", is_flag=True, help="Write the core around a preset's engine, with AXI4 and AXI4-Lite ports.")
@click.option("--out", help="File to write.  [default: build/verilog/NAME.v, or NAME_core.v]")
@click.option("--bench", is_flag=True, help="Write a test bench (_tb.v) and its vectors too.")
@click.option("--fusesoc", is_flag=True, help="Write these and a FuseSoC core file (.core) too.")
@click.option("--run", is_flag=True, help="Write the test bench and run it with Icarus Verilog.")
@click.option("--target", type=click.Choice(["ecp5"]), help="Use this family's cells; else it is for any tool.")
@click.option("--module", help="Name of the engine's or the core's module.  [default: tensor_engine, or core]")
def verilog(chosen, core, out, bench, fusesoc, run, target, module) -> int:
    """Write the engine's Verilog; beside it a wrapper with AXI4-Stream ports (_axis.sv), Verilator's waivers (.vlt),
    and a page (.md) on the engine's ports and on driving it. Or that of a core, its wrapper with AXI4 ports (_axi.sv).

    Start from a preset and change what the options name.
    """
    from scripts.flows import verilog_files
    from scripts.flows.verilog_files import CORE, ENGINE
    from scripts.ground.progress import progress_bar

    if target and core:
        raise InputError("--target: a core is for any tool; takes no --target with --core")
    if target and (bench or fusesoc or run):
        raise InputError(f"--target: {target}'s cells are not simulated; takes no --bench, --fusesoc or --run")
    if run:
        verilog_files.check_icarus()

    config = verilog_files.core_of(chosen.name, chosen.config) if core else chosen.config
    if out is None:
        out = f"build/verilog/{chosen.name}{'_core' if core else f'_{target}' if target else ''}.v"
        make_folder("build/verilog")
    paths = verilog_files.output_files(out, CORE if core else ENGINE, bench=bench or fusesoc or run, fusesoc=fusesoc)
    with progress_bar() as progress:
        progress.add_task("generating Verilog", total=None)
        texts = verilog_files.verilog_texts(config, paths, target, module)
    verilog_files.write_texts(texts)
    others = ", ".join(Path(path).name for path in list(texts)[1:])
    click.echo(f"wrote {click.format_filename(out)} and beside it {others}")
    if run:
        return 0 if verilog_files.run_bench(paths) else DISAGREE
    return 0


@cli.command()
@click.option("--config", "preset", type=click.Choice(list(PRESETS)), help="Only this preset, without the real layer.")
@click.option("--seed", type=click.IntRange(0, (1 << 32) - 1), help="Of the random stimulus.  [default: a new one]")
@click.option("--sim", type=click.Choice(["verilator", "icarus"]), default="verilator", show_default=True)
@click.option("--waves", is_flag=True, help="Write waveforms beside the simulation.")
@click.option("--page", is_flag=True, help="Put what is printed into README.md as well.")
def sim(preset, seed, sim, waves, page) -> int:
    """Simulate the RTL on random GEMMs of ragged shapes, then on a real attention layer.

    Every port and PE register is compared with the golden model in every cycle; results with the golden GEMM, cycle
    counts with the schedule's closed form.
    """
    from scripts.campaigns.sim import run_campaign

    if seed is None:
        seed = int(np.random.default_rng().integers(1 << 31))
    return DISAGREE if run_campaign(preset, seed=seed, simulator=sim, waves=waves, page=page) else 0


@cli.command()
@click.option("--runs", type=click.IntRange(1, 1_000_000), help="How many.  [default: 100]")
@click.option("--seed", type=click.IntRange(0, (1 << 32) - 1), help="Of all runs.  [default: a new one]")
@click.option("--only", metavar="SEED:INDEX", help="One run of those: what the line after a failure says.")
@click.option("--jobs", type=click.IntRange(1, 1024), help="Processes at a time.  [default: one a processor]")
@click.option("--dask", metavar="tcp://HOST:PORT", help="Use the workers of this Dask scheduler instead.")
@click.option("--sim", type=click.Choice(["icarus", "verilator"]), help="[default: icarus where it is installed]")
@click.option("--out", help="JSON file; JUnit XML goes beside it (.xml).  [default: build/regress/SEED.json]")
def regress(runs, seed, only, jobs, dask, sim, out) -> int:
    """Run random GEMMs on random configurations, formats, kinds of operands, idle sources and stalls.

    Each run follows from the seed and its number alone, whatever --runs and --jobs are, and is compared as in sim.
    """
    from scripts.campaigns.regress import choose_runs, run_regression

    planned, out = choose_runs(runs, seed, only, out)
    regression = run_regression(planned, simulator=sim, jobs=jobs, dask=dask, out=out)
    if regression.interrupted:
        return INTERRUPTED
    if regression.failed:
        return DISAGREE
    return ENVIRONMENT if regression.not_run else 0


@cli.command()
@click.option("--seed", type=click.IntRange(0, (1 << 32) - 1), help="Of the random stimulus.  [default: a new one]")
@click.option("--out", default="build/coverage", show_default=True, help="Folder of the reports.")
def coverage(seed, out) -> int:
    """Measure what simulation exercises: functional bins, lines and toggles, of the presets tiny, fp8 and bf16.

    Writes index.html and coverage.json. Exit code 1 if a bin was missed, or more than 2 % of the lines.
    """
    from scripts.campaigns.coverage import run_coverage

    if seed is None:
        seed = int(np.random.default_rng().integers(1 << 31))
    return DISAGREE if run_coverage(seed=seed, folder=Path(out)) else 0


@cli.command()
@click.option("--only", multiple=True, metavar="NAME", help="Only properties whose names begin so; may be repeated.")
@click.option("--quick", is_flag=True, help="Only properties that take seconds.")
def formal(only, quick) -> int:
    """Prove properties of the emitted Verilog for all inputs, or for runs of any length.

    Exit code 1 if one is not proved. build/formal/formal.json has the table, and counterexamples step by step.
    """
    from scripts.campaigns.formal import run_formal

    return DISAGREE if run_formal(only, quick=quick) else 0


@cli.command()
@click.option("--config", help="tiny, small_fp32, core, lib or float.  [default: all]")
@click.option("--count", type=click.IntRange(1, 60_000), default=200, show_default=True, help="Mutants of each.")
@click.option("--seed", type=click.IntRange(0, (1 << 31) - 1), default=1, show_default=True, help="Of their choice.")
@click.option("--only", type=click.IntRange(1), help="This mutant alone, and what it does.")
def mutants(config, count, seed, only) -> int:
    """Put faults into the RTL, one at a time: the benches must see each, or a proof show that it is none."""
    from scripts.campaigns.mutants import run_mutants

    return DISAGREE if run_mutants(config, count=count, seed=seed, only=only) else 0


@cli.command()
@click.option(
    "--only", multiple=True, metavar="GROUP", help="golden, convert, cycles, sim, verilog or build; repeatable."
)
@click.option("--quick", is_flag=True, help="Small sizes and few rounds: to see that it works, not to quote.")
@click.option("--seed", type=click.IntRange(0, (1 << 31) - 1), default=1, show_default=True, help="Of the operands.")
@click.option("--page", is_flag=True, help="Put the table into docs/performance.md as well.")
def bench(only, quick, seed, page) -> int:
    """Measure the golden model, the simulation and the builds: one table, and build/bench/bench.json."""
    from scripts.flows.bench.run import run_bench

    run_bench(only, quick=quick, seed=seed, page=page)
    return 0


cli.add_command(fpga)
