"""SBUF: every grant, every word and every row that there is not, in every cycle, with random requests."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.sim import Simulator

from arch.core.layouts import PORT_ROW_BITS
from arch.core.presets import CORES
from hw.core.sbuf import Sbuf

SEED = 13
SMALL = replace(CORES["tiny"], lane_bytes=1024)
#: The largest that there may be: a row too many differs in one bit.
LARGE = replace(CORES["tiny"], lane_bytes=1 << 18, banks=16)


class _Model:
    """What SBUF does, by docs/core.md."""

    def __init__(self, config):
        self.config = config
        self.rows: dict[int, int] = {}
        self.data: list[int] = []

    def cycle(self, reads: list, writes: list, stopped: int) -> dict:
        """Requests, ``(valid, row)`` and of writes ``(valid, row, enable, data)``; what is seen in that cycle."""
        grants = [self._grants([each[:2] for each in ports], stopped) for ports in (reads, writes)]
        outside = [valid and row >= self.config.sbuf_rows for valid, row, *_ in (*reads, *writes)]
        seen = {"grants": grants, "data": self.data, "outside": sum(int(bit) << n for n, bit in enumerate(outside))}
        self.data = [
            self.rows.get(row, 0) if granted else 0 for (_, row), granted in zip(reads, grants[0], strict=True)
        ]
        for (_, row, enable, data), granted in zip(writes, grants[1], strict=True):
            if granted:
                mask = sum(255 << 8 * byte for byte in range(self.config.row_bits // 8) if enable >> byte & 1)
                self.rows[row] = self.rows.get(row, 0) & ~mask | data & mask
        return seen

    def _grants(self, ports: list, stopped: int) -> list[int]:
        taken, grants = set(), []
        for valid, row in ports:
            bank = row // self.config.bank_rows
            asks = valid and row < self.config.sbuf_rows and not stopped
            grants.append(int(bool(asks and bank not in taken)))
            taken |= {bank} if asks else set()
        return grants


def _row(rng: np.random.Generator, config) -> int:
    """Few rows of each bank; now and then one that there is not, or one that is there but for a bit."""
    row = int(rng.integers(config.banks)) * config.bank_rows + int(rng.choice((0, 1, config.bank_rows - 1)))
    if rng.random() < 0.2:
        return row | 1 << int(rng.integers(config.row_address_bits, PORT_ROW_BITS))
    return row


@pytest.mark.parametrize(
    "config", [pytest.param(SMALL, id="small"), pytest.param(LARGE, id="large", marks=pytest.mark.slow)]
)
def test_every_output_in_every_cycle(config):
    print(f"seed {SEED}")
    rng, block, model = np.random.default_rng(SEED), Sbuf(config), _Model(config)
    model.data = [0] * len(block.reads)

    async def bench(ctx):
        for cycle in range(1500):
            often, stopped = float(rng.choice((0.2, 0.9))), int(cycle % 50 > 40)
            reads = [(int(rng.random() < often), _row(rng, config)) for _ in block.reads]
            writes = [
                (int(rng.random() < often), _row(rng, config), *map(int, rng.integers(0, 1 << 62, 2)))
                for _ in block.writes
            ]
            writes = [(*each[:2], each[2] & (1 << config.row_bits // 8) - 1, each[3]) for each in writes]
            ctx.set(block.i_stopped, stopped)
            for ports, names, values in (
                (block.reads, ("valid", "row"), reads),
                (block.writes, ("valid", "row", "enable", "data"), writes),
            ):
                for port, given in zip(ports, values, strict=True):
                    for name, value in zip(names, given, strict=True):
                        ctx.set(getattr(port, name), value)
            seen = {
                "grants": [[ctx.get(port.grant) for port in ports] for ports in (block.reads, block.writes)],
                "data": [ctx.get(port.data) for port in block.reads],
                "outside": ctx.get(block.o_outside),
            }
            assert seen == model.cycle(reads, writes, stopped), cycle
            await ctx.tick()

    simulator = Simulator(block)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
