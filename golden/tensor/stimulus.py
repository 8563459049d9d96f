"""What crosses the ports of the tensor engine for a GEMM, and the result matrix from what comes out."""

from collections.abc import Iterator

import numpy as np

from arch.formats import FORMATS
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import command_layout
from golden.checks import plain
from golden.numerics.conversions import check_codes, code_dtype, known_format
from golden.tensor.schedule import Pass, block_rows, each_pass, runnable_sizes

__all__ = ["assemble", "gemm_beats", "gemm_stimulus"]


def gemm_beats(
    x_codes: np.ndarray,
    w_codes: np.ndarray,
    config: EngineConfig,
    *,
    x_format: str,
    w_format: str,
    out_format: str = "fp32",
    saturate: bool = True,
    base: int = 0,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """What crosses the input ports for a GEMM, one pass at a time.

    Parameters
    ----------
    x_codes : uint8 or uint16[M, K]
        Activations, codes of ``x_format``.
    w_codes : uint8 or uint16[K, N]
        Weights, codes of ``w_format``.
    x_format, w_format : str
        Formats of the configuration.
    out_format : str
        How results are read out: any format.
    base : int
        As for ``golden.tensor.schedule.gemm_passes``.
    saturate : bool
        Overflow and Inf of results become the largest finite number of ``out_format``; in fp32 Inf stays.

    Yields
    ------
    commands : uint64[1], or object[1] where ``command_layout`` has more than 64 bits
    weights : uint8 or uint16[ceil(tile_k / G), G * C], G = rows_per_load_cycle
    activations : uint8 or uint16[tile_m, R]
        As ``golden.tensor.engine.TensorEngine.offer`` takes them; lanes not in use are zero.

    Raises
    ------
    TypeError, ValueError
        For a wrong dtype, shape or format, and as ``gemm_passes``; before the first pass is asked for.
    """
    x_format = known_format("x_format", x_format, config.formats)
    w_format = known_format("w_format", w_format, config.formats)
    x_codes, w_codes = plain("x_codes", x_codes), plain("w_codes", w_codes)
    for name, codes, fmt in (("x_codes", x_codes, x_format), ("w_codes", w_codes, w_format)):
        check_codes(name, codes, fmt)
        if codes.ndim != 2:
            raise ValueError(f"{name} must be a matrix, not of shape {codes.shape}")
    if x_codes.shape[1] != w_codes.shape[0]:
        raise ValueError(f"x_codes and w_codes must agree in K, not {x_codes.shape} and {w_codes.shape}")
    passes = each_pass(*x_codes.shape, w_codes.shape[1], config, base=base)
    modes = {
        "x_format": x_format.select,
        "w_format": w_format.select,
        "out_format": known_format("out_format", out_format, tuple(FORMATS)).select,
        "saturate": int(bool(saturate)),
    }
    # Copies: the beats are made later than this, one pass at a time.
    return _beats(x_codes.copy(), w_codes.copy(), config, modes, passes)


def _beats(
    x_codes: np.ndarray, w_codes: np.ndarray, config: EngineConfig, modes: dict[str, int], passes: Iterator[Pass]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    layout = command_layout(config)
    dtype = np.uint64 if layout.width <= 64 else object
    lane = code_dtype(config.lane_format)
    for p in passes:
        command = layout.pack(
            tile_m=p.tile_m,
            tile_k=p.tile_k,
            tile_n=p.tile_n,
            base=p.base,
            distance=p.distance,
            first=int(p.first),
            last=int(p.last),
            **modes,
        )
        beats, together = config.load_cycles(p.tile_k), config.rows_per_load_cycle
        weights = np.zeros((beats * together, config.cols), lane)
        weights[: p.tile_k, : p.tile_n] = w_codes[p.k0 : p.k0 + p.tile_k, p.n0 : p.n0 + p.tile_n]
        activations = np.zeros((p.tile_m, config.rows), lane)
        activations[:, : p.tile_k] = x_codes[p.m0 : p.m0 + p.tile_m, p.k0 : p.k0 + p.tile_k]
        yield np.array([command], dtype), weights.reshape(beats, -1), activations


def gemm_stimulus(
    x_codes: np.ndarray,
    w_codes: np.ndarray,
    config: EngineConfig,
    *,
    x_format: str,
    w_format: str,
    out_format: str = "fp32",
    saturate: bool = True,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All beats of a GEMM at once: commands, weights, activations, as :func:`gemm_beats` joined."""
    beats = gemm_beats(
        x_codes, w_codes, config, x_format=x_format, w_format=w_format, out_format=out_format, saturate=saturate
    )
    lane = code_dtype(config.lane_format)
    dtype = np.uint64 if command_layout(config).width <= 64 else object
    weights = np.zeros((0, config.rows_per_load_cycle * config.cols), lane)
    none = (np.zeros(0, dtype), weights, np.zeros((0, config.rows), lane))
    commands, weights, activations = (np.concatenate(part) for part in zip(none, *beats, strict=True))
    return commands, weights, activations


def assemble(result_rows: np.ndarray, m: int, k: int, n: int, config: EngineConfig) -> np.ndarray:
    """The result matrix from the rows that left through ``o_result``, in order.

    Parameters
    ----------
    result_rows : uint32[m * N tiles, C]
        As ``golden.tensor.engine.TensorEngine.results``.

    Returns
    -------
    uint32[m, n]
        Codes of the out format, zero-extended; all zero if ``k`` is 0.
    """
    m, k, n = runnable_sizes(m, k, n, config)
    result_rows = plain("result_rows", result_rows)
    if result_rows.dtype != np.uint32:
        raise TypeError(f"result_rows must be uint32, not {result_rows.dtype}")
    codes = np.zeros((m, n), np.uint32)
    tiles = -(-n // config.cols)
    expected = m * tiles if k else 0
    if result_rows.shape != (expected, config.cols):
        raise ValueError(f"result_rows must have shape {(expected, config.cols)}, not {result_rows.shape}")
    if not expected:
        return codes
    at = 0
    block = block_rows(m, config)
    for m0 in range(0, m, block):
        rows = min(block, m - m0)
        part = result_rows[at : at + rows * tiles].reshape(tiles, rows, config.cols).swapaxes(0, 1)
        codes[m0 : m0 + rows] = part.reshape(rows, tiles * config.cols)[:, :n]
        at += rows * tiles
    return codes
