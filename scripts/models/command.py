"""``systolith run``: a model's answer, and what it took."""

import json

import click
from rich.table import Table

from arch.core.presets import CORES
from kernels.models.numbers import RECIPES
from scripts.ground.errors import InputError
from scripts.ground.exits import DISAGREE
from scripts.ground.files import save
from scripts.ground.terminal import Terminal
from scripts.models.model import Model
from scripts.models.opening import open_model
from scripts.models.running import ModelRun, run_model
from scripts.running.failures import command_line, show_failures
from scripts.running.kernels import RtlDiffers

__all__ = ["model_table", "run_command"]


def run_command(
    what: str,
    *,
    text: str | None,
    prompt: str | None,
    tokens: int,
    tokenizer: str | None,
    config: str,
    recipe: str | None,
    backend: str,
    out: str | None,
    as_json: bool,
) -> int:
    """The exit code of the command; its options are those of :mod:`scripts.commands`."""
    if (text is None) == (prompt is None):
        raise InputError("one of --text and --prompt must be given")
    model = open_model(what, tokenizer)
    _check_option(model, text)
    recipe = recipe or next(name for name in ("bf16", "fp8") if RECIPES[name].dtype in CORES[config].engine.formats)
    given = prompt if text is None else text
    options = {"backend": backend, "config": config, "recipe": recipe}
    try:
        done = run_model(model, given, tokens=tokens, logits=text is None and out is not None, **options)
    except RtlDiffers as error:
        show_failures(Terminal(stderr=True), error.run.sections(), command_line())
        return DISAGREE
    record = {"model": model.name} | options | done.record()
    if out:
        save(out, done.output)
        record["embedding" if done.text is None else "logits"] = out
    if as_json:
        click.echo(json.dumps(record, allow_nan=False))
        return 0
    if done.text is not None:
        click.echo(f"{given}{done.text}")
    Terminal().table(model_table(record, done))
    if out:
        click.echo(f"wrote {click.format_filename(out)}")
    return 0


def _check_option(model: Model, text: str | None) -> None:
    option = "--prompt" if model.shape.kind == "decoder" else "--text"
    if (text is None) != (option == "--prompt"):
        raise InputError(f"{model.name} takes {option}")


def model_table(record: dict, done: ModelRun) -> Table:
    """What a person wants to know of it."""
    table = Table(show_header=False, box=None)
    table.add_row("model", f"{record['model']}, {record['recipe']} on a {record['config']} core, {record['backend']}")
    new = len(done.tokens) - done.given
    table.add_row("tokens", f"{done.given}" if done.text is None else f"{done.given} given, {new} chosen")
    if done.output is not None and done.text is None:
        shown = " ".join(f"{value:.4f}" for value in done.output[:6])
        table.add_row("vector", f"{shown} ... of {len(done.output)}")
    if "cycles" in record:
        table.add_row("cycles", f"{record['cycles']:,}")
        table.add_row("utilization", f"{record['utilization']:.1%}")
        for name, doings in record["engines"].items():
            table.add_row(name, "  ".join(f"{doing} {count / record['cycles']:.1%}" for doing, count in doings.items()))
    if record["compared_cycles"]:
        table.add_row("compared", f"{record['compared_cycles']:,} cycles of the RTL, all equal")
    table.add_row("program", f"{record['instructions']:,} instructions")
    table.add_row("memory", f"{record['memory_bytes']:,} bytes")
    table.add_row("seconds", "  ".join(f"{name} {value:.1f}" for name, value in record["seconds"].items()))
    return table
