"""``systolith fpga`` and ``systolith fpga sweep``."""

import shlex

import click

from scripts.running.configs import config_options

__all__ = ["fpga"]


@click.group(invoke_without_command=True)
@config_options(default="tiny")
@click.option("--device", default="ecp5-25k", show_default=True, help="A device nextpnr-ecp5 or -ice40 knows.")
@click.option(
    "--part",
    type=click.Choice(["core", "engine", "array", "pe"]),
    default="engine",
    show_default=True,
    help="The preset's core around the engine, the engine, its grid of PEs, or one PE.",
)
@click.option("--seeds", type=click.IntRange(1, 100), default=3, show_default=True, help="Placements tried.")
@click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Of them at a time.")
@click.option("--dsp/--no-dsp", default=True, show_default=True, help="Use the device's multipliers.")
@click.option("--freq", type=click.IntRange(1, 1000), default=100, show_default=True, help="Target in MHz.")
@click.pass_context
def fpga(ctx, chosen, device, part, seeds, jobs, dsp, freq) -> int:
    """Synthesise, place and route the engine or a core alone, and report cells, clock and critical path.

    With yosys and nextpnr as Python packages; no vendor tool. Registers around it spare the pins.
    """
    if ctx.invoked_subcommand:
        return 0
    from scripts.flows.fpga.run import run_fpga

    words = ["systolith", "fpga", *chosen.options, "--device", device]
    words += [] if part == "engine" else ["--part", part]
    words += ["--seeds", str(seeds), *([] if dsp else ["--no-dsp"]), *([] if freq == 100 else ["--freq", str(freq)])]
    run_fpga(
        chosen, device=device, part=part, seeds=seeds, jobs=jobs, dsp=dsp, frequency=freq, command=shlex.join(words)
    )
    return 0


@fpga.command()
@click.option("--device", default="ecp5-85k", show_default=True, help="A device nextpnr-ecp5 or -ice40 knows.")
@click.option("--sizes", help="Rows and columns of the square arrays.  [default: 2,4, of e4m3 8 as well]")
@click.option("--only", multiple=True, metavar="NAME", help="Only variants whose names begin so; may be repeated.")
@click.option("--seeds", type=click.IntRange(1, 100), help="[default: 3; for more than 8000 LUTs 1]")
@click.option("--jobs", type=click.IntRange(1, 64), default=2, show_default=True, help="Variants at a time.")
@click.option("--docs", is_flag=True, help="Rewrite the table in docs/fpga.md and docs/fpga.svg.")
def sweep(device, sizes, only, seeds, jobs, docs) -> int:
    """Build arrays of several sizes, formats and accumulations: a table and a plot.

    What was built before from the same Verilog with the same tools is not built again.
    """
    from scripts.flows.fpga.sweep import run_sweep

    words = ["systolith", "fpga", "sweep", "--device", device, *(["--sizes", sizes] if sizes else [])]
    words += [word for name in only for word in ("--only", name)]
    words += ["--seeds", str(seeds)] if seeds else []
    words += ["--docs"] if docs else []
    run_sweep(device=device, only=only, sizes=sizes, seeds=seeds, jobs=jobs, docs=docs, command=shlex.join(words))
    return 0
