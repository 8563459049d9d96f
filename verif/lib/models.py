"""Cycle models of the blocks of ``hw.lib``, from their contracts: each output in a cycle, and what an edge does.

Inputs and outputs are integers by the name of the port. ``outputs`` tells those of a cycle from its inputs; ``step``
passes on to the next one, with or without a reset. What means nothing in a cycle is left out.
"""

from collections import deque

__all__ = ["ArbiterModel", "MemoryModel", "QueueModel", "SliceModel"]

Ports = dict[str, int]


class QueueModel:
    """A stream queue: a payload on offer, and a line of ``depth - 1`` behind it."""

    def __init__(self, depth: int):
        self.depth = depth
        self.line: deque[int] = deque()
        self.offer: int | None = None

    def outputs(self, inputs: Ports) -> Ports:
        """None of them depends on an input."""
        offered = {} if self.offer is None else {"o__payload": self.offer}
        level = len(self.line) + (self.offer is not None)
        room = len(self.line) < self.depth - 1
        return {"i__ready": int(room), "o__valid": int(self.offer is not None), "o_level": level} | offered

    def step(self, inputs: Ports, reset: bool) -> None:
        """What is taken stands in line for a cycle at least."""
        taken = inputs["i__valid"] and self.outputs(inputs)["i__ready"]
        if self.offer is None or inputs["o__ready"]:
            self.offer = self.line.popleft() if self.line else None
        if taken:
            self.line.append(inputs["i__payload"])
        if reset:
            self.line.clear()
            self.offer = None


class SliceModel:
    """A register slice: up to two payloads, the older on offer."""

    def __init__(self) -> None:
        self.held: deque[int] = deque()

    def outputs(self, inputs: Ports) -> Ports:
        """None of them depends on an input."""
        offered = {"o__payload": self.held[0]} if self.held else {}
        return {"i__ready": int(len(self.held) < 2), "o__valid": int(bool(self.held))} | offered

    def step(self, inputs: Ports, reset: bool) -> None:
        """One payload leaves, one comes."""
        taken = inputs["i__valid"] and len(self.held) < 2
        if self.held and inputs["o__ready"]:
            self.held.popleft()
        if taken:
            self.held.append(inputs["i__payload"])
        if reset:
            self.held.clear()


class ArbiterModel:
    """An arbiter: the lowest input that is valid, or the one that was offered before and not taken."""

    def __init__(self, inputs: int):
        self.inputs = inputs
        self.stalled: int | None = None

    def outputs(self, inputs: Ports) -> Ports:
        """All of them depend on the inputs; ``ready`` means nothing where an input is not valid."""
        valid = [index for index in range(self.inputs) if inputs[f"i__{index}__valid"]]
        if not valid:
            return {"o__valid": 0, "o_source": 0}
        source = valid[0] if self.stalled is None else self.stalled
        ready = {f"i__{index}__ready": int(inputs["o__ready"] and index == source) for index in valid}
        return {"o__valid": 1, "o_source": source, "o__payload": inputs[f"i__{source}__payload"]} | ready

    def step(self, inputs: Ports, reset: bool) -> None:
        """A payload that stalls stays on offer."""
        outputs = self.outputs(inputs)
        stalls = outputs["o__valid"] and not inputs["o__ready"] and not reset
        self.stalled = outputs["o_source"] if stalls else None


class MemoryModel:
    """A synchronous memory; a read in the cycle of a write gives the old word. It has nothing to reset."""

    def __init__(self, width: int, depth: int, reads: int, granule: int):
        self.words = [0] * depth
        self.granule, self.granules = granule, width // granule
        self.data = [0] * reads

    def outputs(self, inputs: Ports) -> Ports:
        """What was read last."""
        return {f"reads__{port}__data": word for port, word in enumerate(self.data)}

    def step(self, inputs: Ports, reset: bool) -> None:
        """Reads first."""
        for port in range(len(self.data)):
            if inputs[f"reads__{port}__en"]:
                self.data[port] = self.words[inputs[f"reads__{port}__address"]]
        ones, address = (1 << self.granule) - 1, inputs["write__address"]
        written = [ones << self.granule * at for at in range(self.granules) if inputs["write__en"] >> at & 1]
        self.words[address] = self.words[address] & ~sum(written) | inputs["write__data"] & sum(written)
