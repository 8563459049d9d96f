"""From one lane to others: by way of memory, since no engine knows another lane's numbers."""

from kernels import language as nl

__all__ = ["across_lanes", "broadcast_lane"]


def broadcast_lane(number: nl.Tile, lanes: int) -> nl.Tile:
    """A tile of one lane in each of some lanes."""
    between = nl.scratch(number.shape, number.dtype)
    nl.store(between, number)
    return nl.load(between.broadcast_to((lanes, *number.shape[1:])))


def across_lanes(op: str, numbers: nl.Tile, lanes: int) -> nl.Tile:
    """What ``tensor_reduce`` gives of fp32[N, 1] over its lanes, in each of some lanes: fp32[lanes, 1]."""
    between = nl.scratch(numbers.shape)
    nl.store(between, numbers)
    return broadcast_lane(nl.tensor_reduce(op, nl.load(between.reshape(1, numbers.lanes))), lanes)
