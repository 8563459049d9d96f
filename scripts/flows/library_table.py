"""Runs each kernel of the library once on the fp8 core's cycle model and writes the table of docs/kernels.md."""

from dataclasses import dataclass, field

import numpy as np

from kernels.language import Kernel, Program
from kernels.library.attention import attention
from kernels.library.choose import topk
from kernels.library.elementwise import add
from kernels.library.gather import gather_rows
from kernels.library.gemm import gemm, gemm_stationary_weights
from kernels.library.hadamard import hadamard
from kernels.library.moe import mixture_of_experts
from kernels.library.quantize import quantize_tensor, quantize_tokens
from kernels.library.softmax import softmax
from kernels.library.transposition import transpose
from scripts.ground.pages import DOCS, put_table
from scripts.running.kernels import Result, run

__all__ = ["CASES", "COMMAND", "table"]

PAGE, COMMAND = DOCS / "kernels.md", "python -m scripts.flows.library_table"
SEED = 1


@dataclass(frozen=True)
class Case:
    """A kernel, the shapes and types of its parameters, and its constants."""

    kernel: Kernel
    parameters: tuple[tuple[tuple[int, ...], str], ...]
    constants: dict[str, object] = field(default_factory=dict)


_MATRIX = (128, 384), "fp32"
_PRODUCT = ((128, 384), "e4m3"), ((384, 1536), "e4m3"), ((1536,), "fp32")
_HEADS = ((4, 256, 64), "e4m3")
_EXPERTS = ((8, 128, 256), "e4m3"), ((8, 128, 256), "e4m3"), ((8, 256, 128), "e4m3")
CASES = (
    Case(add, (_MATRIX, _MATRIX)),
    Case(softmax, (_MATRIX,)),
    Case(quantize_tokens, (_MATRIX,)),
    Case(quantize_tensor, (_MATRIX,)),
    Case(hadamard, (((128, 256), "fp32"),), {"signs": [1.0] * 256, "scale": 0.0625}),
    Case(transpose, (_MATRIX,)),
    Case(gather_rows, (((1000, 384), "fp32"), ((128,), "u32"))),
    Case(topk, (_MATRIX,), {"k": 8}),
    Case(gemm, _PRODUCT),
    Case(gemm, _PRODUCT, {"activation": "gelu"}),
    Case(gemm_stationary_weights, _PRODUCT),
    Case(attention, (_HEADS,) * 3, {"scale": 0.125}),
    Case(attention, (_HEADS,) * 3, {"scale": 0.125, "causal": True}),
    Case(mixture_of_experts, (((4, 128), "e4m3"), ((128, 8), "e4m3"), *_EXPERTS), {"k": 2}),
)


def _given(case: Case) -> list:
    rng, found = np.random.default_rng(SEED), []
    for shape, dtype in case.parameters:
        values = rng.standard_normal(shape).astype(np.float32)
        ids = rng.integers(0, case.parameters[0][0][0], shape, np.uint32)
        found.append(ids if dtype == "u32" else values if dtype == "fp32" else (values, dtype))
    return found


def _bytes(program: Program) -> int:
    """What DMA moves from memory and to it."""
    total = 0
    for each in program.instructions:
        if each.name == "dma":
            sides = sum(each.named(f"{side}_space") == "memory" for side in ("source", "sink"))
            elements = each.fields["lanes"] * each.fields["count0"] * each.fields["count1"]
            total += sides * elements * int(each.named("size"))
    return total


def _row(case: Case, result: Result) -> str:
    busy = {name: each.spent.busy / result.cycles for name, each in result.engines.items()}
    most = max(busy, key=busy.__getitem__)
    sizes = ", ".join("x".join(map(str, shape)) for shape, _ in case.parameters[:2])
    shown = [name for name, value in case.constants.items() if value is True]
    shown += [value for value in case.constants.values() if isinstance(value, str)]
    name = " ".join([case.kernel.__name__, *shown])
    moved, used = _bytes(result.program), result.utilization
    share = f"{used:.1%}" if used else "-"
    return f"| `{name}` | {sizes} | {result.cycles:,} | {share} | {moved:,} | {most}, busy {busy[most]:.0%} |"


def table() -> str:
    """The table's rows, with its head."""
    head = "| kernel | of | cycles | of the array | bytes of memory | bound by |\n|---|---|---:|---:|---:|---|\n"
    rows = (
        _row(case, run(case.kernel, _given(case), config="fp8", backend="cycles", **case.constants)) for case in CASES
    )
    return f"\n{head}{''.join(f'{row}{chr(10)}' for row in rows)}\n"


def main() -> None:
    put_table(PAGE, COMMAND, table())


if __name__ == "__main__":
    main()
