"""Products one behind another, as beats."""

import numpy as np

from arch.tensor.config import EngineConfig
from arch.tensor.layouts import command_layout
from golden.tensor.engine import TensorEngine
from golden.tensor.jobs import golden_result
from verif.tensor.workload.gemms import random_gemms
from verif.tensor.workload.program import Program, packed, result_rows

CONFIG = EngineConfig(rows=2, cols=3, formats=("e4m3", "bf16"), accumulation="fp32", psum_depth=32)


def test_the_golden_engine_gives_the_rows_that_are_due():
    seed = int(np.random.default_rng().integers(1 << 31))
    print(f"seed {seed}")
    program, model, due = Program(CONFIG), TensorEngine(CONFIG), []
    bases = []
    for job in random_gemms(CONFIG, np.random.default_rng(seed), 6):
        codes = golden_result(job, CONFIG)
        for tile, beats in zip(*program.add(job), strict=True):
            model.offer(*beats)
            rows = result_rows(tile, codes)
            assert len(rows) == (tile.tile_m if tile.last else 0)
            due += [row.tolist() for row in rows]
            bases.append(command_layout(CONFIG).unpack(int(beats[0][0]))["base"] if tile.first else None)
    model.run(100_000, until_done=True)
    assert [row[: len(wanted)].tolist() for row, wanted in zip(model.results, due, strict=True)] == due
    # The ring of rows goes on from product to product.
    assert bases[0] == 0 and {base for base in bases if base is not None} > {0}


def test_rows_are_packed_with_the_first_code_lowest():
    assert packed(np.array([[0x12, 0x34], [0, 0xFF]], np.uint8)) == [0x3412, 0xFF00]
    assert packed(np.array([[0x1234, 5]], np.uint16)[:, ::-1]) == [0x12340005]
    assert packed(np.zeros((0, 4), np.uint32)) == []
