"""The executable specification: formats, arithmetic, matrix products, attention, cycles.

What users need is here: ``from golden import gemm, encode, decode, attention, gemm_cycles, utilization, PRESETS``. A
name is loaded when it is first used, so that importing the package takes no time.
"""

from importlib import import_module

_PLACES = {
    "arch.tensor.config": ("EngineConfig",),
    "arch.tensor.presets": ("PRESETS",),
    "golden.core.executor": ("execute",),
    "golden.core.races": ("check_races",),
    "golden.numerics.attention": ("attend", "attention", "attention_reference", "error_report"),
    "golden.numerics.conversions": ("decode", "encode"),
    "golden.numerics.functions": ("exp", "reciprocal", "rsqrt"),
    "golden.numerics.gemm": ("gemm",),
    "golden.numerics.kv_cache": ("KVCache",),
    "golden.numerics.quantize": ("dequantize", "quantize"),
    "golden.tensor.efficiency": ("losses",),
    "golden.tensor.engine": ("TensorEngine",),
    "golden.tensor.schedule": ("gemm_cycles", "utilization"),
    "golden.tensor.stimulus": ("assemble", "gemm_stimulus"),
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
