"""Attention run wholly on a simulated core: a program, its tensors in memory, the result read back from there."""

from dataclasses import dataclass, field

import numpy as np

from arch.core.config import CoreConfig
from arch.core.presets import CORES
from arch.core.signals import core_record
from golden.core.jobs import Job
from golden.core.model import Core
from golden.numerics.attention import attention, attention_reference, error_report
from golden.numerics.functions import reciprocal
from golden.numerics.hadamard import inverse_sqrt
from golden.numerics.kv_cache import ATTENTION_RECIPES, KVCache, quantize_rows
from kernels.attention import attention_program
from kernels.attention_sizes import AttentionSizes, Tensors
from scripts.ground.errors import InputError
from scripts.ground.progress import progress_bar
from scripts.running.backends import waves_folder
from scripts.running.operands import check_values
from scripts.running.summary import Summary

__all__ = ["RECIPES", "run_core_attention"]

#: What the program makes codes by: a scale for each head's tensor.
RECIPES = ("per-tensor",)
#: Presets whose cores are small enough to be simulated.
_SIMULATED = ("tiny", "fp8", "bf16")
#: Cycles from a burst's address to its first beat.
LATENCY = 50
#: Memory's addresses are multiples of it, and tensors begin there.
_ALIGNED = 256


@dataclass
class _Image:
    """Memory in the making."""

    pieces: list[tuple[int, bytes]] = field(default_factory=list)
    size: int = 0

    def reserve(self, size: int) -> int:
        """The address of so many bytes."""
        address = self.size
        self.size += -(-size // _ALIGNED) * _ALIGNED
        return address

    def put(self, contents: bytes) -> int:
        """The address of bytes that are there when the program begins."""
        address = self.reserve(len(contents))
        self.pieces.append((address, contents))
        return address


def run_core_attention(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    preset: str,
    *,
    recipe: str,
    x_format: str,
    w_format: str,
    causal: bool,
) -> Summary:
    """Attention of every head, float32[H, S, D] or [S, D] for one head, from float32 numbers in the core's memory.

    Tensors, program and nothing else go in; every cycle is compared with the golden model, and the result with
    golden.attention. The scales of tensors are constants of the program.
    """
    check_values("attention", Q=q, K=k, V=v)
    if recipe not in RECIPES:
        raise InputError(f"--recipe: --backend core takes {', '.join(RECIPES)}, not {recipe}")
    if preset not in _SIMULATED:
        raise InputError(f"--config: --backend core takes {', '.join(_SIMULATED)}, not {preset}")
    config = CORES[preset]
    single = q.ndim == 2
    q, k, v = (array[None] if array.ndim == 2 else array for array in (q, k, v))
    options = {"recipe": recipe, "x_format": x_format, "w_format": w_format, "causal": causal}
    try:
        expected = attention(q, k, v, accumulation=config.engine.accumulation, **options)
        job, out = _job(q, k, v, config, **options)
    except ValueError as error:
        raise InputError(str(error)) from None
    run, cycles, memory = _simulate(job, config)
    result = np.frombuffer(memory[out : out + expected.nbytes], np.float32).reshape(expected.shape)
    failures = run.sections()
    wrong = int((result.view(np.uint32) != expected.view(np.uint32)).sum())
    if wrong and not run.mismatches:
        failures.append(("the RTL", f"has {wrong} results that are not golden.attention's"))
    error = error_report(result, attention_reference(q, k, v, causal=causal))
    products = 2 * q.shape[0] * q.shape[1] * k.shape[1] * q.shape[2]
    return Summary(
        shape={"H": q.shape[0], "S": q.shape[1], "T": k.shape[1], "D": q.shape[2]},
        result=result[0] if single else result,
        cycles=cycles,
        ideal_cycles=-(-products // config.lanes**2),
        readout_cycles=0,
        compared_cycles=run.compared_cycles,
        mismatches=run.mismatches + wrong,
        failures=failures,
        notes={"cosine": error.cosine, "relative_l1": error.relative_l1, "rmse": error.rmse},
        remark=f"All on the core, from float32 in memory {LATENCY} cycles away; scales are given to the program.",
    )


def _job(q, k, v, config: CoreConfig, *, recipe: str, x_format: str, w_format: str, causal: bool) -> tuple[Job, int]:
    """The program in its memory, and where its result will be."""
    cache = KVCache(recipe=recipe, w_format=w_format)
    cache.append(k, v)
    _, q_scales = quantize_rows("q", q, x_format, ATTENTION_RECIPES[recipe], None)
    scales = {"q": q_scales[:, 0, 0], "k": cache.k_scales[:, 0, 0], "v": cache.v_scale[:, 0]}
    sizes = AttentionSizes(
        heads=q.shape[0],
        kv_heads=k.shape[0],
        queries=q.shape[1],
        keys=k.shape[1],
        channels=q.shape[2],
        causal=causal,
        x_type=x_format,
        w_type=w_format,
        quantized=False,
    )
    image = _Image()
    places = {name: image.put(tensor.tobytes()) for name, tensor in (("q", q), ("k", k), ("v", v))}
    out = image.reserve(q.nbytes)
    inverses = {f"{name}_inverses": tuple(map(float, reciprocal(scale))) for name, scale in scales.items()}
    tensors = Tensors(
        **places,
        out=out,
        q_factors=tuple(map(float, scales["q"] * inverse_sqrt(q.shape[2]))),
        k_factors=tuple(map(float, scales["k"])),
        v_factors=tuple(map(float, scales["v"])),
        **inverses,
    )
    built = attention_program(config, sizes, tensors)
    address = image.reserve(built.code_bytes)
    return Job(program=built.instructions, address=address, image=image.pieces, size=image.size), out


def _simulate(job: Job, config: CoreConfig):
    """The run on the RTL, the program's cycles, and memory when it is done."""
    # The simulator is loaded where it is used.
    from verif.core.unit import core_unit
    from verif.simulation.simulate import simulate_unit

    model = Core(config)
    model.offer(job)
    cycles, words = 0, np.empty((1024, core_record(config).words), np.uint32)
    while not model.done:
        cycles += len(model.run(len(words), until_done=True, latency=LATENCY, out=words))
    with progress_bar() as progress:
        task = progress.add_task("building the simulation", total=None)

        def advance(done: int) -> None:
            progress.update(task, description="simulating, cycles", total=cycles, completed=min(done, cycles))

        run = simulate_unit(
            core_unit(config), [job], pace={"latency": LATENCY}, progress=advance, waves_folder=waves_folder
        )
    return run, cycles, model.memory.tobytes()
