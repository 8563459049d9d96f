"""The records of the cycle model against docs/core.md's rules, which are said here once more, on whole numbers."""

from dataclasses import replace

import numpy as np
import pytest

from arch.core.instructions import encode
from arch.core.layouts import dispatch_layout, program_layout, read_beat_layout, write_beat_layout, write_request_layout
from arch.core.presets import CORES
from arch.core.signals import core_record
from arch.core.timing import FLOAT_LATENCY, FUNCTION_LATENCY, REDUCE_CYCLES, WRITES_IN_FLIGHT
from arch.elements import ELEMENTS
from arch.formats import FP32
from arch.tensor.layouts import command_layout
from golden.core.model import Core
from verif.core.programs import random_program
from verif.core.workload import job_of

TINY = CORES["tiny"]
#: PSUM is so small that its rows come round.
SHALLOW = replace(TINY.engine, psum_depth=32, formats=("e4m3", "e5m2", "bf16"), accumulation="fp32")
CONFIGS = {
    "tiny": TINY,
    "wide": replace(TINY, engine=SHALLOW, beat_bytes=64, banks=2, dma_queues=1, reads_in_flight=2),
}
STREAMS = ("command", "weight", "activation", "result")


class Trace:
    """Values of fields by cycle."""

    def __init__(self, words, config):
        self.words, self.record = words, core_record(config)

    def __len__(self):
        return len(self.words)

    def get(self, name, row=None):
        """int[cycles]"""
        part = self.words[:, self.record.at(name, row)].astype(object)
        return sum(part[:, word] << 32 * word for word in range(part.shape[1]))


@pytest.fixture(scope="module", params=CONFIGS.values(), ids=CONFIGS)
def traced(request):
    """A configuration, the programs it has run, and the trace."""
    config = request.param
    cases = [random_program(config, seed, length=25) for seed in (11, 12)]
    core = Core(config)
    core.offer(*(job_of(case) for case in cases))
    words = core.run(100_000, latency=4, idle=0.2, stall=0.2, seed=3, until_done=True)
    assert core.done
    return config, cases, Trace(words, config), core


def transfers(trace, name):
    """The payloads of a port's stream, and the cycles of the transfers."""
    moves = (trace.get(f"{name}__valid") & trace.get(f"{name}__ready")).astype(bool)
    return trace.get(f"{name}__payload")[moves], np.flatnonzero(moves)


def test_what_is_offered_stays_and_is_nothing_before(traced):
    _, _, trace, _ = traced
    ports = ("i_program", "i_r", "i_b", "o_ar", "o_aw", "o_w")
    names = [tuple(f"{name}__{part}" for part in ("valid", "ready", "payload")) for name in ports]
    names += [tuple(f"{name}_{part}" for part in ("valid", "ready", "payload")) for name in STREAMS]
    for valid, ready, payload in ((trace.get(name) for name in three) for three in names):
        assert valid.any()
        assert not payload[valid == 0].any()
        waits = ((valid[:-1] == 1) & (ready[:-1] == 0)).astype(bool)
        assert valid[1:][waits].all()
        assert (payload[1:][waits] == payload[:-1][waits]).all()


def test_grants_and_data_of_sbuf(traced):
    """Priority by bank; a shadow of SBUF that is written and read as the ports say."""
    config, _, trace, core = traced
    layout = write_request_layout(config)
    reads, writes = 5 + config.dma_queues, 2 + config.dma_queues
    asked = [trace.get("read", row) for row in range(reads)]
    grants = [trace.get("read_grant", row) for row in range(reads)]
    data = [trace.get("read_data", row) for row in range(reads)]
    given = [trace.get("write", row) for row in range(writes)]
    write_grants = [trace.get("write_grant", row) for row in range(writes)]
    sbuf, due, conflicts = [0] * config.sbuf_rows, [0] * reads, 0
    for cycle in range(len(trace)):
        assert [column[cycle] for column in data] == due
        busy, due = set(), []
        for request, grant in zip(asked, grants, strict=True):
            valid, row = request[cycle] & 1, request[cycle] >> 1
            granted = valid and row // config.bank_rows not in busy
            conflicts += valid and not granted
            assert grant[cycle] == granted and (valid or not row)
            busy |= {row // config.bank_rows} if valid else set()
            due.append(sbuf[row] if granted else 0)
        busy = set()
        for request, grant in zip(given, write_grants, strict=True):
            parts = layout.unpack(request[cycle])
            granted = parts["valid"] and parts["row"] // config.bank_rows not in busy
            assert grant[cycle] == granted and (parts["valid"] or not request[cycle])
            busy |= {parts["row"] // config.bank_rows} if parts["valid"] else set()
            if granted:
                mask = sum((parts["enable"] >> byte & 1) * (255 << 8 * byte) for byte in range(4 * config.lanes))
                sbuf[parts["row"]] = sbuf[parts["row"]] & ~mask | parts["data"] & mask
    assert conflicts > 10
    assert [sum(int(word) << 32 * lane for lane, word in enumerate(row)) for row in core.sbuf] == sbuf


def test_programs_are_fetched_and_dispatched_in_order(traced):
    config, cases, trace, _ = traced
    layout, given = dispatch_layout(config), trace.get("dispatched")
    codes = [layout.unpack(value)["code"] for value in given if value]
    program = [instruction for case in cases for instruction in case.program]
    assert codes == [int.from_bytes(encode(instruction), "little") for instruction in program]
    offered = [program_layout(config).unpack(value) for value in transfers(trace, "i_program")[0]]
    jobs = [job_of(case) for case in cases]
    assert [(o["address"], o["instructions"]) for o in offered] == [(j.address, len(j.program)) for j in jobs]
    # Each instruction waits in its queue until it starts, and starts when what it waits for is complete.
    queues = {name: index for index, name in enumerate(config.queues)}
    level, outstanding, complete = [0] * len(queues), [0] * len(queues), [0] * len(queues)
    waiting = [[] for _ in queues]
    starts = [trace.get("starts", row) for row in range(len(queues))]
    completes = [trace.get("completes", row) for row in range(len(queues))]
    levels = [trace.get("level", row) for row in range(len(queues))]
    numbers, dispatched = [0] * len(queues), iter(program)
    for cycle in range(len(trace)):
        assert [column[cycle] for column in levels] == level
        for queue in range(len(queues)):
            if starts[queue][cycle]:
                needs = waiting[queue].pop(0)
                assert all(complete[other] >= number for other, number in needs.items())
                level[queue] -= 1
        if given[cycle]:
            instruction = next(dispatched)
            queue = queues[instruction.queue_name]
            assert levels[queue][cycle] < config.queue_depth
            waits = {queues[name]: instruction.wait(name) for name in config.queues if instruction.wait(name)}
            waiting[queue].append({other: numbers[other] - back + 1 for other, back in waits.items()})
            numbers[queue] += 1
            level[queue] += 1
            outstanding[queue] += 1
        for queue in range(len(queues)):
            complete[queue] += completes[queue][cycle]
            outstanding[queue] -= completes[queue][cycle]
            assert outstanding[queue] >= 0
    assert not any(outstanding) and not any(waiting)
    # The program is over one cycle after the last instruction is complete at most.
    running = trace.get("o_running")
    last = max(np.flatnonzero(column.astype(bool))[-1] for column in completes)
    assert last + 1 <= np.flatnonzero(running.astype(bool))[-1] <= last + 2


def test_commands_of_the_tensor_engine(traced):
    config, cases, trace, _ = traced
    engine, layout, base, due = config.engine, command_layout(config.engine), 0, []
    selects = [element.format.select if element.format else 0 for element in ELEMENTS.values()]
    for i in (i for case in cases for i in case.program if i.name == "matmul"):
        rows, tiles = i.count0 * i.count1, -(-i.depth // config.lanes)
        for tile in range(tiles):
            due.append({
                "tile_m": rows,
                "tile_k": min(config.lanes, i.depth - config.lanes * tile),
                "tile_n": i.lanes,
                "base": base,
                "distance": min(rows, engine.store_latency),
                "first": int(tile == 0),
                "last": int(tile == tiles - 1),
                "x_format": selects[i.x_type],
                "w_format": selects[i.w_type],
                "out_format": FP32.select,
                "saturate": 0,
            })  # fmt: skip
        base = (base + rows) % engine.psum_depth
    moves = (trace.get("command_valid") & trace.get("command_ready")).astype(bool)
    assert [layout.unpack(payload) for payload in trace.get("command_payload")[moves]] == due
    assert len(due) > 5


def test_bursts(traced):
    """Whole beats within 4 KiB and within what may be in flight, answered in order; data where a strobe is."""
    config, _, trace, _ = traced
    beat = config.beat_bytes
    for name in ("o_ar", "o_aw"):
        for payload in transfers(trace, name)[0]:
            address, beats = payload & (1 << 40) - 1, (payload >> 40) + 1
            assert address % beat == 0 and address // 4096 == (address + beats * beat - 1) // 4096
            assert beats * beat <= max(64, beat)
    writes, sent = write_beat_layout(config), [0, 0]
    due = iter([(payload >> 40) + 1 for payload in transfers(trace, "o_aw")[0]])
    for payload in transfers(trace, "o_w")[0]:
        parts = writes.unpack(payload)
        for byte in range(beat):
            assert parts["strobes"] >> byte & 1 or not parts["data"] >> 8 * byte & 255
        sent = sent if sent[0] < sent[1] else [0, next(due)]
        sent[0] += 1
        assert parts["last"] == (sent[0] == sent[1])
    assert sent[0] == sent[1] and next(due, None) is None
    loads = read_beat_layout(config)
    lasts = [loads.unpack(payload)["last"] for payload in transfers(trace, "i_r")[0]]
    assert sum(lasts) == len(transfers(trace, "o_ar")[0])
    for ask, answer, most in (("o_ar", "i_r", config.reads_in_flight), ("o_aw", "i_b", WRITES_IN_FLIGHT)):
        begun, ended = np.zeros(len(trace), int), np.zeros(len(trace), int)
        begun[transfers(trace, ask)[1]] = 1
        cycles = transfers(trace, answer)[1]
        ended[cycles[np.array(lasts, bool)] if answer == "i_r" else cycles] = 1
        # At the beginning of each cycle.
        flying = np.cumsum(begun - ended) - (begun - ended)
        assert flying.max() <= most and not flying[-1]
        assert not trace.get(f"{ask}__valid")[flying == most].any()


@pytest.mark.parametrize("unit", [0, 1])
def test_lane_engines(traced, unit):
    """Elements reach the write stage after as many advances as there are stages; then the instruction is complete."""
    _, cases, trace, _ = traced
    depth = 2 * FLOAT_LATENCY + 2 + (FUNCTION_LATENCY if unit else 0)
    name = ("vector", "scalar")[unit]
    program = iter([i for case in cases for i in case.program if i.name == name])
    phase, take, advance = (trace.get(signal, unit) for signal in ("phase", "take", "advance"))
    starts, completes = trace.get("starts", 1 + unit), trace.get("completes", 1 + unit)
    request, grant = trace.get("write", unit), trace.get("write_grant", unit)
    stages, waited, reducing, finished, element = [0] * depth, 0, False, 0, 0
    for cycle in range(len(trace)):
        if starts[cycle]:
            assert phase[cycle] == 0
            instruction = next(program)
            count = instruction.count0 * instruction.count1 * instruction.count2
            element, reduce = 0, instruction.reduce if unit == 0 else instruction.sum
        due = stages[-1] and instruction.write
        final = reducing and (waited == REDUCE_CYCLES or reduce != 1)
        assert request[cycle] & 1 == bool(due or final)
        assert advance[cycle] == (not due or grant[cycle])
        assert not take[cycle] or (advance[cycle] and phase[cycle] == 3)
        ends = bool(advance[cycle] and stages[-1] == 2)
        assert completes[cycle] == ((final and grant[cycle]) or (ends and not reduce))
        finished += completes[cycle]
        assert (phase[cycle] == 4) == reducing
        if reducing:
            waited += waited < REDUCE_CYCLES
            reducing = not completes[cycle]
        if ends and reduce:
            reducing, waited = True, 0
        if advance[cycle]:
            element += take[cycle]
            # 1: valid, 2: the last.
            stages = [take[cycle] and 1 + (element == count), *stages[:-1]]
    assert finished > 5 and next(program, None) is None


def test_dma_queues(traced):
    """Two chunks at most are on their way, each asked for, filled and drained in turn."""
    config, cases, trace, _ = traced
    for queue in range(config.dma_queues):
        asked, filled, drained = (trace.get(name, queue).astype(int) for name in ("asked", "filled", "drained"))
        starts, completes = trace.get("starts", 3 + queue), trace.get("completes", 3 + queue)
        program = [i for case in cases for i in case.program if i.queue_name == f"dma{queue}"]
        ends = np.flatnonzero(completes.astype(bool))
        assert len(ends) == starts.sum() == len(program) > 4
        assert (asked - filled >= 0).all() and (filled - drained >= 0).all() and (asked - drained <= 2).all()
        for instruction, end in zip(program, ends, strict=True):
            words = -(-(instruction.count0 << instruction.size) // 4)
            chunks = -(-words // config.chunk_words) * instruction.count1
            assert asked[end] == filled[end] == drained[end] == chunks
        for cycle in np.flatnonzero(starts.astype(bool)):
            assert asked[cycle + 1] == filled[cycle + 1] == drained[cycle + 1] == 0
