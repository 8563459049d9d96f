"""``make demo`` and ``make story``: whole models in simulated RTL, and what they say."""

import sys

import click

from scripts.ground.exits import DISAGREE
from scripts.ground.terminal import Terminal
from scripts.models.command import model_table
from scripts.models.opening import open_model
from scripts.models.running import ModelRun, run_model
from scripts.running.failures import command_line, show_failures
from scripts.running.kernels import RtlDiffers

__all__ = ["main"]

SENTENCES = "A man is eating food.", "A man is eating a piece of bread."
#: The cosine of these two in float32.
FLOAT32 = 0.7553
PROMPT, TOKENS = "The capital of France is", 12
CHOICE = {"config": "fp8", "recipe": "fp8"}


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command()
def demo() -> None:
    """all-MiniLM-L6-v2 in the RTL: two sentences, and how alike they are."""
    model = open_model("minilm")
    first, second = (
        _shown("minilm", text, run_model(model, text, tokens=0, backend="rtl", **CHOICE), "rtl").output
        for text in SENTENCES
    )
    click.echo(f"cosine {first @ second:.4f}; in float32 {FLOAT32:.4f}")


@main.command()
def story() -> None:
    """SmolLM2-135M: the first token in the RTL, each cycle compared; then more of them by the golden executor."""
    model = open_model("smollm2")
    first = _shown("smollm2", PROMPT, run_model(model, PROMPT, tokens=1, backend="rtl", **CHOICE), "rtl")
    rest = _shown("smollm2", PROMPT, run_model(model, PROMPT, tokens=TOKENS, backend="golden", **CHOICE), "golden")
    if rest.tokens[: len(first.tokens)] != first.tokens:
        raise AssertionError("the RTL's token is not the golden model's")


def _shown(name: str, text: str, done: ModelRun, backend: str) -> ModelRun:
    """Print a run, and give it."""
    click.echo(f"{text}{done.text or ''}")
    Terminal().table(model_table({"model": name, "backend": backend} | CHOICE | done.record(), done))
    click.echo()
    return done


if __name__ == "__main__":
    try:
        main(standalone_mode=False)
    except RtlDiffers as error:
        show_failures(Terminal(stderr=True), error.run.sections(), command_line())
        sys.exit(DISAGREE)
