"""The cycle model: its timing against the numbers of docs/architecture.md, its data against ``golden.gemm``."""

import numpy as np
import pytest
from operands import FP8_PAIRS, PAIRS, bit_patterns, rng
from traces import Trace, ones

from arch.formats import FORMATS
from arch.tensor.config import EngineConfig
from arch.tensor.layouts import command_layout, pe_registers, product_layout
from arch.tensor.presets import PRESETS
from arch.tensor.signals import engine_fields
from golden.numerics.conversions import encode
from golden.numerics.gemm import gemm
from golden.tensor.arithmetic import decode_operands, multiply
from golden.tensor.engine import TensorEngine
from golden.tensor.positions import Position, position_at
from golden.tensor.schedule import gemm_passes
from golden.tensor.stimulus import assemble, gemm_stimulus

TINY = PRESETS["tiny"]
LIMIT = 200_000


def simulate(x, w, config, formats=("e4m3", "e4m3"), *, registers=False, out_format="fp32", saturate=False, **quiet):
    engine = TensorEngine(config, registers=registers)
    engine.offer(
        *gemm_stimulus(x, w, config, x_format=formats[0], w_format=formats[1], out_format=out_format, saturate=saturate)
    )
    return engine, engine.run(LIMIT, until_done=True, **quiet)


def result(engine, x, w):
    assert engine.done
    m, k, n = *x.shape, w.shape[1]
    assert engine.rows_stored == sum(p.tile_m for p in gemm_passes(m, k, n, engine.config))
    return assemble(engine.results, m, k, n, engine.config)


def expected(x, w, config, formats=("e4m3", "e4m3")):
    return gemm(x, w, x_format=formats[0], w_format=formats[1], accumulation=config.accumulation).view(np.uint32)


@pytest.fixture(scope="module")
def two_passes():
    """Y[3, 3] = X[3, 6] @ W[6, 3] on the tiny engine, two K tiles: 4 lanes, then 2."""
    generator = rng()
    x, w = bit_patterns(generator, (3, 6), "e4m3", finite=True), bit_patterns(generator, (6, 3), "e4m3", finite=True)
    engine, records = simulate(x, w, TINY, registers=True)
    return x, w, engine, Trace(records, TINY)


def test_handshakes_of_two_passes(two_passes):
    """By hand: the second pass could start 3 rows after the first, but its sums are back after 6 cycles only."""
    _, _, engine, trace = two_passes
    assert TINY.store_latency == 6 and TINY.drain_latency == 11
    # The loader holds the first command until its fourth weight row, and takes the next one then.
    assert trace.cycles("i_command") == [0, 4]
    # The shadow plane is free again in the cycle of the first activation row.
    assert trace.cycles("i_weight") == [1, 2, 3, 4, 5, 6]
    assert trace.cycles("i_activation") == [5, 6, 7, 11, 12, 13]
    # Row 11 is read out of the last column in cycle 11 + 11: on the port four cycles later.
    assert trace.cycles("o_result") == [26, 27, 28]
    assert engine.first_weight_cycle == 1
    # The last row's third column: 13 + 6 + 2.
    assert engine.last_store_cycle == 21
    assert engine.take_cycles.tolist() == [5, 6, 7, 11, 12, 13]
    assert engine.lasts.tolist() == [False, False, True]
    assert engine.cycle == 29


def test_registers_of_two_passes(two_passes):
    """Register by register from the contract: an activation row taken in cycle t is in PE(r, c) from t + 1 + r + c."""
    x, w, engine, trace = two_passes
    xo, wo = decode_operands(x, "e4m3", TINY), decode_operands(w, "e4m3", TINY)
    for r in range(4):
        for c in range(4):
            beats, products = [0] * engine.cycle, [0] * engine.cycle
            for i, t in enumerate(engine.take_cycles.tolist()):
                enable = i < 3 or r < 2
                at, k = t + 1 + r + c, r if i < 3 else 4 + r
                beats[at] |= 1 | enable << 1 | (i in (0, 3)) << 2
                products[at + 1] |= 1 | enable << 1
                if enable:
                    # An operand stays until the next row that uses the lane, a product does not.
                    # Padding columns hold the zero operand.
                    weight = wo[k, c] if c < 3 else np.uint32(0)
                    beats[at:] = [beat & 15 | int(xo[i % 3, k]) << 4 for beat in beats[at:]]
                    payload = int(multiply(xo[i % 3, k], weight, TINY))
                    products[at + 1] |= payload << 2
            # The weight row of lane r is taken in cycle u = 1 + r, or 5 + r; the tag is in the register a cycle later.
            for u in [1 + r] + [5 + r] * (r < 2):
                beats[u + 1 + r + c] |= 8
            assert trace["beat", r, c] == beats
            assert trace["product", r, c] == products
            if c < 3:
                shadow, active = trace["shadow", r, c], trace["active", r, c]
                loaded, swapped = 1 + r + r + c, 5 + r + c
                assert shadow[loaded] == 0 and shadow[loaded + 1] == wo[r, c]
                assert active[swapped] == 0 and active[swapped + 1] == wo[r, c]
                second = 11 + r + c
                assert active[second] == wo[r, c]
                # A lane not in use keeps its weight.
                assert active[second + 1] == (wo[4 + r, c] if r < 2 else wo[r, c])
            weights = [0] * engine.cycle
            for i, u in enumerate(range(1, 7)):
                # Columns at or beyond N hold the zeros that pad the beat, which are the zero operand.
                weights[u + 1 + r + c] = int(wo[i, c]) if c < 3 else 0
            assert trace["weight", r, c] == weights


def test_surroundings_of_two_passes(two_passes):
    """What enters the array and happens at PSUM, from the contract and the cycles in which rows were taken."""
    x, w, engine, trace = two_passes
    xo, wo = decode_operands(x, "e4m3", TINY), decode_operands(w, "e4m3", TINY)
    cycles, rows = engine.cycle, engine.take_cycles.tolist()
    psums = {c: trace["psum", 3, c] for c in range(4)}
    for r in range(4):
        west = [0] * cycles
        for i, t in enumerate(rows):
            enable = i < 3 or r < 2
            operand = int(xo[i % 3, r if i < 3 else 4 + r]) if enable else 0
            west[t + r] = 1 | enable << 1 | (i in (0, 3)) << 2 | operand << 4
        for u in [1 + r] + [5 + r] * (r < 2):
            west[u + r] |= 8
        assert trace["west", r] == west
    for c in range(4):
        north = [0] * cycles
        for i, u in enumerate(range(1, 7)):
            north[u + c] = int(wo[i, c]) if c < 3 else 0
        assert trace["north", c] == north
        request, seed, store, stored = ([0] * cycles for _ in range(4))
        for i, t in enumerate(rows):
            used = c < 3
            request[t + 1 + c] = 1 if i < 3 else 3 | i % 3 << 2
            # The sum of the first pass, as it was when it was stored.
            seed[t + 2 + c] = psums[c][rows[i - 3] + 6 + c] if i >= 3 and used else 0
            store[t + 6 + c] = (1 | i % 3 << 1) if used else 0
            stored[t + 7 + c] = psums[c][t + 6 + c] if used else 0
        assert trace["seed_request", c] == request
        assert trace["seed", c] == seed
        assert trace["store", c] == store
        assert trace["stored", c] == stored
        read = [0] * cycles
        # The last column is read in cycles 22, 23 and 24, see the handshakes above; each other a cycle before the next.
        read[20 + c : 23 + c] = [psums[c][t + 6 + c] if c < 3 else 0 for t in rows[3:]]
        assert trace["read", c] == read
    order, requests, finishing = ([0] * cycles for _ in range(3))
    for i, t in enumerate(rows[3:]):
        # fp32, without saturation: three columns, and the last row ends the tile.
        mode = 3 | (i == 2) << 3
        order[t] = 1 | i << 1 | mode << 11
        requests[19 + i] = 1 | i << 1
        finishing[21 + i] = mode
    assert (trace["order"], trace["read_request"], trace["order_read"]) == (order, requests, finishing)


def test_sums_are_in_the_psum_register_when_they_should_be():
    """All ones: the sum in row r is r + 1, a cycle after the product."""
    x, w = ones(2, 4, 4)
    engine, records = simulate(x, w, TINY, registers=True)
    trace = Trace(records, TINY)
    one = 1 << -TINY.product_lsb_exp
    start = int(engine.take_cycles[0])
    for r in range(4):
        for c in range(4):
            psum = trace["psum", r, c]
            at = start + 2 + (r + 1) + c
            assert psum[at - 1] == 0
            # Held when the rows have gone by.
            assert set(psum[at:]) == {(r + 1) * one}


def test_a_masked_lane_passes_sums_on():
    x, w = ones(1, 2, 1)
    engine, records = simulate(x, w, TINY, registers=True)
    trace = Trace(records, TINY)
    assert [trace["psum", r, 0][-1] >> -TINY.product_lsb_exp for r in range(4)] == [1, 2, 2, 2]
    assert trace["product", 3, 0][-1] == 0
    assert engine.results.view(np.float32).tolist() == [[2, 0, 0, 0]]


def test_passes_leave_no_bubble_while_rows_suffice():
    x, w = ones(7, 4, 12)
    _, records = simulate(x, w, TINY)
    taken = Trace(records, TINY, registers=False).cycles("i_activation")
    assert taken == list(range(5, 5 + 21))


def test_short_passes_cost_their_weights():
    x, w = ones(1, 4, 12)
    _, records = simulate(x, w, TINY)
    assert Trace(records, TINY, registers=False).cycles("i_activation") == [5, 9, 13]


def test_port_fields_are_the_same_without_registers():
    x, w = ones(5, 9, 6)
    full, ports = (simulate(x, w, TINY, registers=r, idle=0.3, stall=0.3, seed=5)[1] for r in (True, False))
    assert (full[:, : ports.shape[1]] == ports).all()


@pytest.mark.parametrize("formats", FP8_PAIRS, ids="-".join)
@pytest.mark.parametrize("finite", (False, True))
def test_fp8_results(formats, finite):
    generator = rng()
    x = bit_patterns(generator, (37, 50), formats[0], finite)
    w = bit_patterns(generator, (50, 45), formats[1], finite)
    engine, _ = simulate(x, w, PRESETS["fp8"], formats)
    assert (result(engine, x, w) == expected(x, w, PRESETS["fp8"], formats)).all()


@pytest.mark.parametrize("formats", PAIRS, ids="-".join)
def test_fused_results(formats):
    """The same bits from arrays of any size: the chain does not see tile boundaries."""
    generator = rng()
    x = bit_patterns(generator, (9, 43), formats[0], finite=True)
    w = bit_patterns(generator, (43, 21), formats[1], finite=True)
    x[0, 5] = FORMATS[formats[0]].nan
    for rows, cols in ((8, 8), (4, 4), (16, 16), (3, 5)):
        config = EngineConfig(rows=rows, cols=cols, formats=PRESETS["bf16"].formats, accumulation="fp32")
        engine, _ = simulate(x, w, config, formats)
        assert (result(engine, x, w) == expected(x, w, config, formats)).all()


@pytest.mark.parametrize("out_format", FORMATS)
@pytest.mark.parametrize("saturate", (False, True))
def test_out_formats(out_format, saturate):
    generator = rng()
    x, w = bit_patterns(generator, (11, 9), "e4m3"), bit_patterns(generator, (9, 13), "e5m2")
    engine, _ = simulate(x, w, PRESETS["fp8"], ("e4m3", "e5m2"), out_format=out_format, saturate=saturate)
    values = expected(x, w, PRESETS["fp8"], ("e4m3", "e5m2")).view(np.float32)
    assert (result(engine, x, w) == encode(values, out_format, saturate=saturate)).all()


@pytest.mark.parametrize("idle, stall", [(0.5, 0.0), (0.0, 0.5), (0.5, 0.5), ((0.9, 0.1, 0.3), 0.7)])
def test_idle_and_stall_change_cycles_only(idle, stall):
    generator = rng()
    config = EngineConfig(rows=3, cols=5, formats=("e4m3",), accumulation="exact", psum_depth=32)
    x, w = bit_patterns(generator, (70, 13), "e4m3"), bit_patterns(generator, (13, 23), "e4m3")
    engine, records = simulate(x, w, config, registers=True, idle=idle, stall=stall, seed=11)
    assert (result(engine, x, w) == expected(x, w, config)).all()
    assert engine.cycle > simulate(x, w, config)[0].cycle
    trace = Trace(records, config)
    for stream in ("i_command", "i_weight", "i_activation", "o_result"):
        valid, ready = (trace.signals[f"{stream}__{s}"][:, 0] for s in ("valid", "ready"))
        payload = trace.signals[f"{stream}__payload"]
        held = np.flatnonzero(valid[:-1] & ~ready[:-1] & 1)
        # What is offered stays until it is taken.
        assert valid[held + 1].all() and (payload[held] == payload[held + 1]).all()
        if stream != "o_result":
            assert not payload[valid == 0].any()


def test_a_run_cut_in_pieces_is_the_same_run():
    generator = rng()
    config = PRESETS["bf16"]
    x, w = bit_patterns(generator, (20, 30), "bf16"), bit_patterns(generator, (30, 20), "bf16")
    whole, records = simulate(x, w, config, ("bf16", "bf16"), registers=True, idle=0.2, stall=0.2, seed=3)
    engine, pieces = TensorEngine(config), []
    commands, weights, activations = gemm_stimulus(x, w, config, x_format="bf16", w_format="bf16", saturate=False)
    engine.offer(commands, weights, activations[:100])
    assert not engine.done
    # The rest of the rows is queued before the first hundred run out.
    for cycles in (1, 50, 1, 30):
        pieces.append(engine.run(cycles, idle=0.2, stall=0.2, seed=3))
    engine.offer(activations=activations[100:])
    buffer = np.empty((97, records.shape[1]), np.uint32)
    while not engine.done:
        pieces.append(engine.run(97, idle=0.2, stall=0.2, seed=3, until_done=True, out=buffer).copy())
    assert (np.concatenate(pieces) == records).all()
    assert (engine.results == whole.results).all() and (engine.take_cycles == whole.take_cycles).all()
    engine.forget()
    assert engine.results.shape == (0, 8) and engine.take_cycles.size == 0 and engine.rows_stored == whole.rows_stored


@pytest.mark.parametrize("name", ("tiny", "bf16"))
def test_positions_name_the_operands_of_every_product(name):
    generator = rng()
    config = PRESETS[name]
    fmt = config.formats[-1]
    m, k, n = 7, 11, 18
    x, w = bit_patterns(generator, (m, k), fmt), bit_patterns(generator, (k, n), fmt)
    engine, records = simulate(x, w, config, (fmt, fmt), registers=True, idle=0.3, seed=2)
    trace, passes, taken = Trace(records, config), gemm_passes(m, k, n, config), engine.take_cycles
    xo, wo = decode_operands(x, fmt, config), decode_operands(w, fmt, config)
    seen = set()
    for row in range(config.rows):
        for col in range(config.cols):
            for cycle, product in enumerate(trace["product", row, col]):
                where = position_at(config, passes, taken, cycle, row, col)
                if where:
                    seen.add(where[1:])
                    assert product == int(multiply(xo[where.m, where.k], wo[where.k, where.n], config)) << 2 | 3
                    assert where == position_at(config, passes, taken, cycle + 1, row, col, register="psum")
                    assert where == position_at(config, passes, taken, cycle - 1, row, col, register="beat")
                elif product & 1:
                    assert product & 2 == 0 or col >= n % config.cols
    assert len(seen) == m * k * n
    assert position_at(config, passes, taken, 0, 0, 0) is None
    # A lane not in use has the sum of the lanes above pass through.
    last = int(taken[-1])
    through = position_at(config, passes, taken, last + 2 + config.rows, config.rows - 1, 0, register="psum")
    assert through == Position(len(passes) - 1, m - 1, passes[-1].n0, k - 1)
    with pytest.raises(ValueError, match="register must be one of beat, product, psum, not 'weight'"):
        position_at(config, passes, taken, 0, 0, 0, register="weight")


def test_a_schedule_without_the_wait_is_wrong_and_noticed():
    """Pretending that sums come back at once reads PSUM before they are stored."""
    x, w = ones(2, 16, 4)
    commands, weights, activations = gemm_stimulus(x, w, TINY, x_format="e4m3", w_format="e4m3")
    layout = command_layout(TINY)
    for distance, correct in ((2, True), (TINY.store_latency, False)):
        field = np.uint64(((1 << layout.fields["distance"]) - 1) << layout.offset("distance"))
        engine = TensorEngine(TINY, registers=False)
        engine.offer(commands & ~field | np.uint64(distance << layout.offset("distance")), weights, activations)
        engine.run(LIMIT, until_done=True)
        assert (engine.results.view(np.float32) == 16).all() == correct


def test_a_full_psum_holds_rows_back():
    """No row of a first pass is taken while every PSUM row waits for a stalled sink."""
    config = EngineConfig(rows=2, cols=2, formats=("e4m3",), accumulation="exact", psum_depth=16)
    x, w = ones(64, 2, 2)
    engine = TensorEngine(config, registers=False)
    engine.offer(*gemm_stimulus(x, w, config, x_format="e4m3", w_format="e4m3"))
    engine.run(200, stall=1.0)
    # Three rows and the port wait in the read-out pipeline, the rest in PSUM.
    assert len(engine.take_cycles) == 16 + 4 and len(engine.results) == 0 and not engine.done
    engine.run(LIMIT, until_done=True)
    assert (engine.results.view(np.float32) == 2).all() and len(engine.results) == 64


def test_wide_commands_are_objects():
    config = EngineConfig(rows=256, cols=256, formats=("e4m3",), accumulation="exact", psum_depth=32768)
    assert command_layout(config).width > 64
    x, w = ones(2, 3, 4)
    engine, records = simulate(x, w, config)
    assert (result(engine, x, w).view(np.float32) == 3).all()
    command = gemm_stimulus(x, w, config, x_format="e4m3", w_format="e4m3", saturate=False)[0][0]
    assert Trace(records, config, registers=False)["i_command__payload"][0] == command


def test_the_trace_has_every_register():
    engine = TensorEngine(TINY)
    records = engine.run(3)
    fields = engine_fields(TINY)
    assert [f.name for f in fields[12:18]] == list(pe_registers(TINY)) and product_layout(TINY).width <= 32
    assert records.shape == (3, sum(f.words for f in fields))
    # Out of reset only o_result.ready and i_command.ready are high.
    assert records.sum() == 2 * 3
    assert engine.done and engine.first_weight_cycle is None and engine.last_store_cycle is None
