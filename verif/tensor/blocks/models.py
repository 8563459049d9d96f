"""Cycle models of the blocks below the tensor engine, for their own benches; NumPy over whole arrays of PEs."""

import numpy as np

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import beat_layout, operand_layout, pe_registers, product_layout, psum_layout
from golden.tensor.arithmetic import add_products, multiply, psum_words

__all__ = ["ArrayModel", "PsumBankModel"]


class ArrayModel:
    """Registers of an R x C array of PEs (one PE: R = C = 1), stepped by the rules of docs/architecture.md.

    Attributes hold the values after the last edge, all zero at first: ``weight``, ``shadow``, ``active``,
    ``beat`` and ``product`` are uint64[R, C]; ``psum`` is uint32[R, C, words]. ValueError if the pipes that ``weight``
    holds need more than 64 bits.
    """

    def __init__(self, config: EngineConfig):
        self.config = config
        pipes, operand = pe_registers(config)["weight"], operand_layout(config).width
        if pipes > 64:
            raise ValueError(f"a column's weight pipes must fit 64 bits, not {pipes}")
        self._operand, self._rest = np.uint64(operand), np.uint64(pipes - operand)
        self.reset()
        beat = beat_layout(config)
        self._tags = np.uint64((1 << beat.offset("operand")) - 1)
        self._bit = {name: np.uint64(1 << beat.offset(name)) for name in ("valid", "enable", "swap", "load")}
        self._payload_at = np.uint64(product_layout(config).offset("magnitude"))

    def reset(self) -> None:
        """All registers zero, as after an edge with reset."""
        shape = (self.config.rows, self.config.cols)
        self.weight, self.shadow, self.active, self.beat, self.product = np.zeros((5, *shape), np.uint64)
        self.psum = np.zeros((*shape, psum_words(self.config)), np.uint32)
        # What is on its way to the adder, to the psum and to the weight register, the oldest first.
        self._products = [np.zeros(shape, np.uint64)] * (self.config.product_latency - 1)
        self._sums = [(np.zeros(shape, bool), self.psum)] * (self.config.add_latency - 1)
        self._weights = [np.zeros(shape, np.uint64)] * (self.config.add_latency - 1)

    def step(self, beats: np.ndarray, weights: np.ndarray, psums: np.ndarray) -> None:
        """One clock edge with ``beats`` uint64[R] from the west, ``weights`` uint64[C] and ``psums``
        uint32[C, words] from the north."""
        west = np.concatenate([beats[:, None], self.beat[:, :-1]], axis=1)
        north = np.concatenate([weights[None], self.weight[:-1]])
        above = np.concatenate([psums[None], self.psum[:-1]])
        tags, bit = self._tags, self._bit

        enable = (self.beat & bit["enable"]) != 0
        products = multiply((self.beat >> np.uint64(4)).astype(np.uint32), self.active.astype(np.uint32), self.config)
        payload = np.where(enable, products, 0)
        self._products.append(self.product)
        stored = self._products.pop(0)
        sums = add_products(above, stored >> self._payload_at, self.config)
        through = np.where(((stored & bit["enable"]) != 0)[..., None], sums, above)

        self._sums.append(((stored & bit["valid"]) != 0, through))
        valid, through = self._sums.pop(0)
        self.psum = np.where(valid[..., None], through, self.psum)
        self.product = payload << self._payload_at | (self.beat & (bit["valid"] | bit["enable"]))
        self.active = np.where((west & bit["swap"]) != 0, self.shadow, self.active)
        loading = north & np.uint64((1 << int(self._operand)) - 1)
        self.shadow = np.where((west & bit["load"]) != 0, loading, self.shadow)
        operand = np.where((west & bit["enable"]) != 0, west, self.beat) & ~tags
        self.beat = operand | (west & tags)
        # The pipe that this row loads from goes on behind the others.
        self._weights.append(north >> self._operand | loading << self._rest)
        self.weight = self._weights.pop(0)

    def registers(self) -> dict[str, np.ndarray]:
        """Every register by its name in a trace: uint64[R, C], or uint32[R, C, words] for ``psum``."""
        names = ("weight", "shadow", "active", "beat", "product", "psum")
        return {name: getattr(self, name).copy() for name in names}


class PsumBankModel:
    """One column's PSUM memory: a seed port, a store port and a read-out port, as plain Python integers."""

    def __init__(self, config: EngineConfig):
        self.memory = [0] * config.psum_depth
        self.width = psum_layout(config).width
        self.read = 0
        self._stages = config.product_latency
        self._word = 0
        self.reset()

    def reset(self) -> None:
        """What reset clears at the edge of a :meth:`step`: not the memory, nor the words read from it."""
        # What reset leaves in the memory's output register shows; a register behind it is cleared.
        self._seeded = self._word
        self.psum = self._word if self._stages == 1 else 0
        self.seed = {"valid": 0, "adds": 0, "address": 0}
        self.store = {"valid": 0, "address": 0, "columns": 0, "stores": 0}
        self.read_address = 0

    def step(self, seed: dict[str, int], store: dict[str, int], psum: int, advance: int, read_address: int) -> None:
        """One clock edge; a read in the cycle of a write returns the old word."""
        if seed["adds"]:
            self._word = self.memory[seed["address"]]
        before, self._seeded = self._seeded, self._word if seed["adds"] else 0
        self.psum = self._seeded if self._stages == 1 else before
        if advance:
            self.read, self.read_address = self.memory[read_address], read_address
        if store["stores"]:
            self.memory[store["address"]] = psum
        self.seed = dict(seed)
        left = max(0, store["columns"] - 1)
        self.store = dict(store, columns=left, stores=int(store["valid"] and left > 0))
