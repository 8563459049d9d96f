"""A netlist in the words of the machine: what cells are called, which block they are of, the stages of a path."""

import pytest

from scripts.flows.fpga.build import critical_path
from scripts.flows.fpga.netlist import Netlist, block_of, stage_of
from scripts.flows.fpga.tools import FAMILIES

ECP5 = FAMILIES["ecp5"]


def cell(cell_type, **ports):
    directions = {port: "output" if port in ("Q", "Z") else "input" for port in ports}
    return {"type": cell_type, "port_directions": directions, "connections": {p: [b] for p, b in ports.items()}}


def netlist(part="engine"):
    cells = {
        "block.grid.row_0__o_psums_TRELLIS_FF_Q": cell("TRELLIS_FF", Q=2, DI=9),
        "block.grid.row_0.pe_0.product_TRELLIS_FF_Q_1": cell("TRELLIS_FF", Q=3),
        "block.o_result__payload_LUT4_Z_D_LUT4_Z": cell("LUT4", Z=4, A=3),
        "block.psum_3.memory.words.0.0": cell("DP16KD"),
        "shift_TRELLIS_FF_Q": cell("TRELLIS_FF", Q=5),
        "block.sequencer": cell("$scopeinfo"),
    }
    names = {
        "block.grid.row_0__o_psums": [2],
        "block.grid.row_0.pe_0.psum_0": [2],
        "block.grid.row_1.pe_0.adder.i_psum": [2],
        "block.grid.row_0.pe_0.product": [3, "0"],
        "block.o_result__payload_LUT4_Z_D": [4],
        "block.west_edge.codes": [5],
        "shift": [5],
    }
    return Netlist({"cells": cells, "netnames": {n: {"bits": bits} for n, bits in names.items()}}, ECP5, part)


def test_a_register_has_the_name_it_has_in_the_source():
    found = netlist()
    assert found.name_of("block.grid.row_0__o_psums_TRELLIS_FF_Q") == "block.grid.row_0.pe_0.psum_0"
    assert found.name_of("block.psum_3.memory.words.0.0") == "block.psum_3.memory.words.0.0"
    # What only yosys named, and what nextpnr made of a cell.
    assert found.name_of("block.o_result__payload_LUT4_Z_D_LUT4_Z$made") == "block.o_result__payload"
    assert found.name_of("shift_TRELLIS_FF_Q") == "shift"


def test_parts_have_the_names_they_have_in_an_engine():
    assert netlist("pe").name_of("block.product_TRELLIS_FF_Q") == "block.grid.row_0.pe_0.product"
    assert netlist("array").name_of("block.row_1.x_LUT4_Z") == "block.grid.row_1.x"
    assert netlist("pe").name_of("level_0_LUT4_Z") == "level_0"


def test_cells_by_block():
    assert netlist().by_block() == {
        "array": {"ff": 2},
        "PSUM": {"block_ram": 1},
        "read-out": {"lut4": 1},
        "wrapper": {"ff": 1},
    }


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("block.grid.row_1.pe_2.x", "array"),
        ("block.west_edge.skew_3", "edges"),
        ("block.i_weight__payload", "edges"),
        ("block.i_weight__valid", "sequencer"),
        ("block.psum_12.from_zero", "PSUM"),
        ("block.o_result__valid", "read-out"),
        ("block.readout.rounder_0.sign", "read-out"),
        ("block.mystery", "other"),
        ("level_1", "wrapper"),
    ],
)
def test_blocks(name, block):
    assert block_of(name) == block


PE = "block.grid.row_1.pe_2"


@pytest.mark.parametrize(
    ("start", "end", "stage"),
    [
        ("shift", "block.north_edge.skew_1", "decode"),
        ("block.west_edge.skew_1", f"{PE}.operand", "decode"),
        ("shift", f"{PE}.shadow", "decode"),
        (f"{PE}.tags", f"{PE}.o_beat", "pass on"),
        (f"{PE}.active", f"{PE}.product", "multiply"),
        (f"{PE}.operand", f"{PE}.multiplier__o", "multiply"),
        (f"{PE}.operand", f"{PE}.multiplier.o", "multiply"),
        (f"{PE}.active", f"{PE}.hard_product", "multiply"),
        (f"{PE}.product", f"{PE}.aligned", "align"),
        (f"{PE}.product", f"{PE}.adder.addend", "align"),
        (f"{PE}.adder.addend", f"{PE}.adder.sum_low_4", "align, accumulate"),
        (f"{PE}.product", f"{PE}.adder.aligner.o", "align"),
        (f"{PE}.adder.order_c_exp", f"{PE}.adder.add_total", "add"),
        (f"{PE}.product", f"{PE}.adder.order_keep", "order"),
        (f"{PE}.adder.align_16_value", f"{PE}.adder.absolute_zero", "add"),
        (f"{PE}.adder.add_total", f"{PE}.adder.normalise_coarse_total", "normalise"),
        (f"{PE}.adder.normalise_coarse_total", f"{PE}.psum_0", "round"),
        (f"{PE}.product", f"{PE}.psum_1", "align, accumulate"),
        (f"{PE}.adder.i_product", "block.grid.row_1__o_psums", "align, accumulate"),
        ("block.grid.row_0__o_psums", f"{PE}.psum_0", "accumulate"),
        ("block.psum_0.memory.words.0.0", f"{PE}.psum_0", "PSUM to accumulate"),
        (f"{PE}.psum_0", "block.psum_0.memory.words.0.0", "PSUM"),
        ("block.psum_0.memory.words.0.1", "block.readout.rounder_0.magnitude", "PSUM to read-out"),
        ("block.readout.rounder_0.fp32", "block.o_result__payload", "read-out"),
        ("block.sequencer.running", "block.sequencer.loading", "sequencer"),
        ("block.sequencer.running", "block.psum_0.i_seed", "sequencer to PSUM"),
        ("block.readout.o__valid", "level_0", "read-out"),
        (f"{PE}.product", f"{PE}.strange", "array, strange"),
    ],
)
def test_stages(start, end, stage):
    assert stage_of(start, end) == stage


@pytest.mark.parametrize(
    ("start", "end", "stage"),
    [
        ("block.vector.lanes_3.alu.sum", "block.vector__o_write", "vector engine"),
        ("block.engine.grid.row_0.pe_0.product", "block.engine.psum_0.i_seed", "tensor engine"),
        ("block.dispatcher.code", "block.vector_queue.entry_0", "dispatch"),
        ("block.sbuf.lane_3.memory", "block.dma1.buffer.words", "SBUF to DMA"),
        ("block.scalar_doing.o", "block.watch.o_stop", "watch"),
        ("block.scalar__o_row", "block.memory.owners", "scalar engine to memory port"),
        ("block.front_end.slot", "level_0", "front end to wrapper"),
    ],
)
def test_stages_of_a_core(start, end, stage):
    assert stage_of(start, end, "core") == stage


def test_the_critical_path_in_our_words():
    def step(kind, delay, start, end):
        return {"type": kind, "delay": delay, "from": {"cell": start}, "to": {"cell": end}}

    product, psum = "block.grid.row_0.pe_0.product_TRELLIS_FF_Q_1", "block.grid.row_0__o_psums_TRELLIS_FF_Q"
    shift = "block.grid.row_0.pe_0.aligned_LUT4_Z"
    path = [
        step("clk-to-q", 0.5, product, product),
        step("routing", 1.25, product, shift),
        step("logic", 0.25, shift, shift),
        step("logic", 0.0, shift, "block.x_LUT4_Z"),
        step("routing", 0.5, "block.x_LUT4_Z", psum),
        step("setup", 0.1, psum, psum),
    ]
    slow = [step("routing", 99.0, "pin", product)]
    paths = [
        {"from": "<async>", "to": "posedge clk", "path": slow},
        {"from": "posedge clk", "to": "posedge clk", "path": path},
    ]
    assert critical_path({"critical_paths": paths}, netlist()) == {
        "stage": "align, accumulate",
        "start": "grid.row_0.pe_0.product",
        "end": "grid.row_0.pe_0.psum_0",
        "logic_ns": 0.85,
        "routing_ns": 1.75,
        "levels": 1,
        "stages": [
            {"stage": "align", "logic_ns": 0.75, "routing_ns": 1.25},
            {"stage": "accumulate", "logic_ns": 0.1, "routing_ns": 0.5},
        ],
    }
