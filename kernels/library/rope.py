"""Rotary position embedding."""

from kernels import language as nl

__all__ = ["PAIRINGS", "rope"]

#: Which two numbers of a head turn together: i and i + D / 2, or 2 i and 2 i + 1.
PAIRINGS = ("halves", "adjacent")


def rope(x: nl.Tile, cosines: nl.Tile, sines: nl.Tile, pairing: str, *, out: nl.Tile) -> None:
    """Turn each pair (a, b) of fp32[T, H, D] by its token's angle: ``(a cos - b sin, b cos + a sin)``, to ``out``.

    ``cosines``, ``sines``: fp32[T, D / 2], an angle for each pair. Each product and sum is rounded to fp32.
    """
    if pairing not in PAIRINGS:
        raise nl.KernelError(f"pairing must be {' or '.join(PAIRINGS)}, not {pairing!r}")
    half = x.shape[2] // 2
    cosines, sines = cosines[:, None], sines[:, None]

    def parts(tile: nl.Tile) -> tuple[nl.Tile, nl.Tile]:
        if pairing == "halves":
            return tile[:, :, :half], tile[:, :, half:]
        return tile[:, :, 0::2], tile[:, :, 1::2]

    (a, b), (first, second) = parts(x), parts(out)
    turned = nl.tensor_scalar(b, "multiply", sines)
    nl.tensor_tensor(nl.tensor_scalar(a, "multiply", cosines), turned, "subtract", out=first)
    turned = nl.tensor_scalar(a, "multiply", sines)
    nl.tensor_tensor(nl.tensor_scalar(b, "multiply", cosines), turned, "add", out=second)
