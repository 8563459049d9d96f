"""How far models on the core are from float32: the tables of docs/models.md."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from arch.core.config import CoreConfig
from arch.core.presets import CORES
from kernels.models.decoder import decoder
from kernels.models.encoder import encoder
from kernels.models.numbers import RECIPES
from scripts.models.image import image_of
from scripts.models.model import Model
from scripts.models.opening import open_model
from scripts.models.reference import embed, logits
from scripts.running.kernels import run

__all__ = ["large_core", "main"]

#: As many tokens go through a layer together.
LANES = 128
SENTENCES = Path(__file__).with_name("sentences.txt")


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command()
@click.argument("model", default="minilm")
def sentences(model: str) -> None:
    """The cosine of vectors of fifty sentences to float32's, and of two of them to each other."""
    opened = open_model(model)
    tensors = {name: opened.tensors[name] for name in opened.tensors}
    texts = SENTENCES.read_text(encoding="utf-8").splitlines()
    ids = [opened.tokenizer.encode(text) for text in texts]
    exact = [embed(opened.shape, tensors, each) for each in ids]
    click.echo(f"float32: the first two {exact[0] @ exact[1]:.4f}")
    for recipe in RECIPES:
        found = [_run(opened, recipe, encoder, each)[0] for each in ids]
        cosines = [float(a @ b) for a, b in zip(found, exact, strict=True)]
        pair = found[0] @ found[1]
        click.echo(f"{recipe}: mean {np.mean(cosines):.4f}, least {min(cosines):.4f}; the first two {pair:.4f}")


@main.command()
@click.argument("text", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--model", default="smollm2", show_default=True)
@click.option("--windows", default=4, show_default=True)
@click.option("--size", default=512, show_default=True)
@click.option("--recipe", "recipes", multiple=True, default=list(RECIPES), show_default=True)
def perplexity(text: Path, model: str, windows: int, size: int, recipes: tuple[str, ...]) -> None:
    """Perplexity of a text's first tokens, in windows of some, each on its own."""
    opened = open_model(model)
    ids = opened.tokenizer.encode(text.read_text(encoding="utf-8"))
    parts = [ids[at * size : (at + 1) * size] for at in range(windows)]
    tensors = {name: opened.tensors[name] for name in opened.tensors}
    _perplexity("float32", (_losses(logits(opened.shape, tensors, part), part) for part in parts))
    for recipe in recipes:
        options = {"tokens": 0, "logits": True}
        _perplexity(recipe, (_losses(_run(opened, recipe, decoder, part, **options)[0], part) for part in parts))


def _perplexity(name: str, losses: Iterator[np.ndarray]) -> None:
    click.echo(f"{name}: {np.exp(np.concatenate(list(losses)).mean()):.2f}")


def _losses(found: np.ndarray, tokens: list[int]) -> np.ndarray:
    """-log p of each token but the first."""
    shifted = found[:-1].astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    chosen = shifted[np.arange(len(tokens) - 1), tokens[1:]]
    return np.log(np.exp(shifted).sum(axis=1)) - chosen


@main.command()
@click.argument("path")
@click.argument("tokenizer")
@click.option("--tokens", default=100, show_default=True)
def greedy(path: str, tokenizer: str, tokens: int) -> None:
    """From nothing but the begin of a text: how many of a model's first choices are float32's."""
    opened = open_model(path, tokenizer)
    tensors = {name: opened.tensors[name] for name in opened.tensors}
    begin = opened.tokenizer.encode("")
    for recipe in RECIPES:
        chosen = _run(opened, recipe, decoder, begin, tokens=tokens)[0].ravel().tolist()
        # What float32 would choose after each of them: all are the same up to the first that is not.
        exact = logits(opened.shape, tensors, begin + chosen).argmax(axis=1)[len(begin) - 1 :].tolist()
        same = next((at for at, (a, b) in enumerate(zip(chosen, exact, strict=False)) if a != b), tokens)
        click.echo(f"{recipe}: the first {same} of {tokens} are float32's")


def _run(model: Model, recipe: str, kernel, ids: list[int], **options: object) -> list[np.ndarray]:
    numbers, image = RECIPES[recipe], image_of(model, RECIPES[recipe])
    constants = {"names": image.names, "shape": model.shape, "numbers": numbers, "scales": image.scales}
    return run(
        kernel, [np.array(ids, np.uint32), *image.tensors], config=large_core(recipe), **constants, **options
    ).outputs


def large_core(recipe: str) -> CoreConfig:
    """The recipe's core with ``LANES`` lanes: its programs are shorter, and no result depends on their number."""
    core = CORES[recipe]
    return replace(core, engine=replace(core.engine, rows=LANES, cols=LANES), lane_bytes=1 << 18)


if __name__ == "__main__":
    main()
