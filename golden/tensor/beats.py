"""Beats as the kernels of the cycle model take them: checked, and cut into 32-bit words."""

from operator import index

import numpy as np

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import command_layout
from golden.numerics.conversions import code_dtype
from golden.tensor.state import COMMAND

__all__ = ["code_beats", "command_beats"]


def command_beats(commands: np.ndarray, config: EngineConfig) -> tuple[np.ndarray, np.ndarray]:
    """Commands by their fields and as 32-bit words."""
    layout = command_layout(config)
    dtype = np.dtype(np.uint64 if layout.width <= 64 else object)
    if commands.dtype != dtype or commands.ndim != 1:
        raise TypeError(f"commands must be {dtype}[n], not {commands.dtype} of shape {commands.shape}")
    if dtype.hasobject:
        commands = np.array([index(command) for command in commands], object)
    # Shifts by a scalar of the array's own type: uint64 and int do not mix.
    number = np.uint64 if layout.width <= 64 else int
    fields = np.zeros(commands.size, COMMAND)
    for name, width in layout.fields.items():
        field = commands >> number(layout.offset(name)) & number((1 << width) - 1)
        fields[name] = field.astype(np.int64)
    words = np.zeros((commands.size, (layout.width + 31) // 32), np.uint32)
    for word in range(words.shape[1]):
        words[:, word] = (commands >> number(32 * word) & number(0xFFFFFFFF)).astype(np.uint32)
    _check_commands(fields, config)
    return fields, words


def _check_commands(fields: np.ndarray, config: EngineConfig) -> None:
    """ValueError unless all are within the ranges that ``command_layout`` documents."""
    ranges = (
        ("tile_m", fields, config.psum_depth),
        ("tile_k", fields, config.rows),
        ("tile_n", fields, config.cols),
        ("distance", fields[fields["first"] == 0], config.store_latency),
    )
    for name, commands, high in ranges:
        bad = commands[name][(commands[name] < 1) | (commands[name] > high)]
        if bad.size:
            raise ValueError(f"{name} must be in 1..{high}, not {bad[0]}")
    selects = [fmt.select for fmt in config.operand_formats]
    for name in ("x_format", "w_format"):
        bad = fields[name][~np.isin(fields[name], selects)]
        if bad.size:
            raise ValueError(f"{name} must select one of {', '.join(config.formats)}, not {bad[0]}")


def code_beats(name: str, codes: np.ndarray, lanes: int, config: EngineConfig) -> np.ndarray:
    """Rows of codes as 32-bit words, lane 0 in the low bits."""
    lane = code_dtype(config.lane_format)
    if codes.dtype not in (np.dtype(np.uint8), lane):
        raise TypeError(f"{name} must be {lane} codes, not {codes.dtype}")
    if codes.ndim != 2 or codes.shape[1] != lanes:
        raise ValueError(f"{name} must have shape (n, {lanes}), not {codes.shape}")
    per_word = 32 // config.code_bits
    padded = np.zeros((codes.shape[0], -(-lanes // per_word) * per_word), lane.newbyteorder("<"))
    padded[:, :lanes] = codes
    return padded.view("<u4").astype(np.uint32, copy=False)
