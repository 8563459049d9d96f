"""Models run on a core: a text in, an embedding or more text out."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from arch.core.presets import CORES
from kernels.language import KernelError
from kernels.models.decoder import decoder
from kernels.models.encoder import encoder
from kernels.models.numbers import RECIPES
from scripts.ground.errors import InputError
from scripts.ground.progress import progress_bar
from scripts.models.image import image_of
from scripts.models.model import Model
from scripts.running.kernels import Result, run

__all__ = ["ModelRun", "run_model"]


@dataclass(kw_only=True)
class ModelRun:
    """What a model gave.

    tokens : of the text, and behind them those that the model chose
    given : how many of them were the text's
    text : of the tokens that the model chose; None from an encoder
    output : float32[D], an embedding; or float32[tokens - 1, V], logits of what comes after each token; or None
    result : of the kernel
    memory_bytes : of the program and all of its tensors
    seconds : by what was done: image, program, run
    """

    tokens: list[int]
    given: int
    text: str | None
    output: np.ndarray | None
    result: Result
    memory_bytes: int
    seconds: dict[str, float] = field(default_factory=dict)

    def record(self) -> dict:
        """What ``--json`` prints, but for what the command knows."""
        found = {"tokens": self.tokens, "prompt_tokens": self.given}
        if self.text is not None:
            found["text"] = self.text
        result = self.result
        if result.cycles is not None:
            found |= {"cycles": result.cycles, "utilization": result.utilization}
            found["engines"] = {name: vars(each.spent) | {"empty": each.empty} for name, each in result.engines.items()}
        found |= {"instructions": len(result.program.instructions), "memory_bytes": self.memory_bytes}
        return found | {
            "compared_cycles": result.compared_cycles,
            "mismatches": 0,
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
        }


def run_model(
    model: Model, text: str, *, tokens: int, backend: str, config: str, recipe: str, logits: bool = False
) -> ModelRun:
    """Run a model on a text, and let a decoder continue it by some tokens, or up to the one that ends it.

    Raises InputError for what a core or a model cannot do, RtlDiffers if RTL and golden model are not the same.
    """
    if recipe not in RECIPES:
        raise InputError(f"--recipe: must be {' or '.join(RECIPES)}, not {recipe}")
    numbers, core, shape = RECIPES[recipe], CORES[config], model.shape
    if numbers.dtype not in core.engine.formats:
        fitting = [name for name, each in RECIPES.items() if each.dtype in core.engine.formats]
        raise InputError(f"--recipe: {config} has no {numbers.dtype}; it takes {', '.join(fitting)}")
    ids = model.tokenizer.encode(text)
    more = max(0, tokens - 1) if shape.kind == "decoder" else 0
    if not ids:
        raise InputError("the text must have at least one token, not 0")
    if len(ids) + more > shape.context:
        rule = f"text and new tokens must be at most {shape.context} tokens for {model.name}"
        raise InputError(f"{rule}, not {len(ids) + more}")
    seconds, clock = {}, _Clock()
    image = image_of(model, numbers)
    seconds["image"] = clock.lap()
    constants = {"names": image.names, "shape": shape, "numbers": numbers, "scales": image.scales}
    kernel = encoder
    if shape.kind == "decoder":
        kernel, constants = decoder, constants | {"tokens": tokens, "logits": logits}
    given = [np.array(ids, np.uint32), *image.tensors]
    try:
        with progress_bar() as bar:
            result = run(kernel, given, config=core, backend=backend, progress=_shown(bar, backend), **constants)
    except KernelError as error:
        # Behind the first line is a map of SBUF.
        raise InputError(f"{model.name} does not fit a {config} core: {str(error).splitlines()[0]}") from None
    seconds["run"] = clock.lap()
    return _finished(model, ids, result, seconds)


def _finished(model: Model, ids: list[int], result: Result, seconds: dict[str, float]) -> ModelRun:
    memory_bytes = result.program.memory_bytes + result.program.code_bytes
    common = {"given": len(ids), "result": result, "memory_bytes": memory_bytes, "seconds": seconds}
    if model.shape.kind == "encoder":
        return ModelRun(tokens=ids, text=None, output=result.outputs[0], **common)
    outputs = list(result.outputs)
    chosen = outputs.pop(0).ravel().tolist() if outputs and outputs[0].dtype == np.uint32 else []
    # A program has no end of its own: what follows the end of the text is no part of it.
    end = next((at for at, token in enumerate(chosen) if token in model.tokenizer.end), len(chosen))
    return ModelRun(
        tokens=ids + chosen[:end],
        text=model.tokenizer.decode(chosen[:end]),
        output=outputs[0] if outputs else None,
        **common,
    )


class _Clock:
    def __init__(self) -> None:
        self._at = time.perf_counter()

    def lap(self) -> float:
        """Seconds since the last one."""
        before, self._at = self._at, time.perf_counter()
        return self._at - before


def _shown(bar, backend: str) -> Callable[[int, int], None]:
    task = bar.add_task("building the program", total=None)

    def show(complete: int, total: int) -> None:
        if complete % 64 == 0 or complete == total or backend != "golden":
            bar.update(task, description=f"running on {backend}, instructions", total=total, completed=complete)

    return show
