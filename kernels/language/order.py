"""In which order a kernel does its work."""

from collections.abc import Callable, Iterator, Sequence

from kernels.language.errors import KernelError
from kernels.language.trace import current

__all__ = ["blocks", "config", "lanes", "pipeline"]


def lanes() -> int:
    """P, the lanes of the core that the kernel is built for."""
    return current().config.lanes


def config():
    """The CoreConfig that the kernel is built for."""
    return current().config


def blocks(count: int, size: int | None = None) -> Iterator[slice]:
    """Slices that cut so many into pieces of ``size``, default P; the last has what is left."""
    size = lanes() if size is None else size
    if size < 1:
        raise KernelError(f"size must be 1 or more, not {size}")
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def pipeline(stages: Sequence[Callable], items: Sequence, ahead: int | Sequence[int] = 1) -> list:
    """Each item through all stages, in an order in which a stage works some items ahead of the next one.

    In step t come the first stage for item t, the second for item ``t - ahead``, and so on: what the first stage loads
    is on its way while the second one computes.

    Parameters
    ----------
    stages : sequence of functions
        The first is called with an item, each other one with the item and what the stage before gave for it.
    items : sequence
        Whatever names them: blocks, numbers.
    ahead : int or sequence of int
        Items from one stage to the next; or for each stage but the last.

    Returns
    -------
    list
        What the last stage gave for each item.
    """
    items, gaps = list(items), [ahead] * (len(stages) - 1) if isinstance(ahead, int) else list(ahead)
    if not stages or len(gaps) != len(stages) - 1 or any(gap < 0 for gap in gaps):
        raise KernelError(f"ahead must be 0 or more, or {len(stages) - 1} such numbers, not {ahead}")
    delays = [sum(gaps[:number]) for number in range(len(stages))]
    given: list[dict[int, object]] = [{} for _ in stages]
    for step in range(len(items) + delays[-1]):
        for number, (stage, delay) in enumerate(zip(stages, delays, strict=True)):
            at = step - delay
            if 0 <= at < len(items):
                before = (given[number - 1].pop(at),) if number else ()
                given[number][at] = stage(items[at], *before)
    return [given[-1][at] for at in range(len(items))]
