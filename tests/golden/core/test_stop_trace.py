"""The records of programs that stop a core against docs/core.md's rules, which are said here once more."""

import numpy as np
import pytest

from arch.core.layouts import (
    DOINGS,
    PAGE_BYTES,
    burst_layout,
    dispatch_layout,
    read_beat_layout,
    read_request_layout,
    stop_layout,
    write_request_layout,
)
from arch.core.presets import CORES
from arch.core.signals import core_record, read_ports, write_ports
from verif.core.faults import FAULTS, faulty_job
from verif.core.stops import stretches

TINY = CORES["tiny"]
SEED = 9
RECORD = core_record(TINY)
QUEUES, READS, WRITES = TINY.queues, read_ports(TINY), write_ports(TINY)


def get(records, name, row=None):
    """int[cycles] of Python's numbers"""
    words = records[:, RECORD.at(name, row)].astype(object)
    return sum(words[:, word] << 32 * word for word in range(words.shape[1]))


@pytest.fixture(scope="module")
def runs():
    """Jobs, and the records of each."""
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    jobs = [faulty_job(TINY, rng, fault) for fault in FAULTS * 4]
    pace = {"latency": 6, "idle": 0.2, "stall": 0.3, "seed": SEED}
    return [(job, records[:, 1:].copy()) for job, (records, _) in zip(jobs, stretches(TINY, jobs, **pace), strict=True)]


def grants(requests, stopped):
    """Of ports in order, (valid, row) each: who is served."""
    busy, served = set(), []
    for valid, row in requests:
        bank, asks = row // TINY.bank_rows, valid and row < TINY.sbuf_rows and not stopped
        served.append(int(asks and bank not in busy))
        busy |= {bank} if asks else set()
    return served


def test_sbuf_serves_who_asks_for_its_rows_until_it_stops(runs):
    outside, late = 0, 0
    reads, writes = read_request_layout(TINY), write_request_layout(TINY)
    for _, records in runs:
        stopped = get(records, "o_stop") & 1
        for name, ports, layout in (("read", READS, reads), ("write", WRITES, writes)):
            given = [get(records, name, row) for row in range(len(ports))]
            served = [get(records, f"{name}_grant", row) for row in range(len(ports))]
            for cycle in range(len(records)):
                parts = [layout.unpack(column[cycle]) for column in given]
                requests = [(part["valid"], part["row"]) for part in parts]
                assert [column[cycle] for column in served] == grants(requests, stopped[cycle])
                outside += any(valid and row >= TINY.sbuf_rows for valid, row in requests)
                late += bool(stopped[cycle]) and any(valid for valid, _ in requests)
    assert outside > 20 and late > 100


def test_a_stop_stays_and_nothing_new_begins(runs):
    layout, stops = stop_layout(), 0
    for job, records in runs:
        stop, running = get(records, "o_stop"), get(records, "o_running")
        if not stop.any():
            continue
        stops += 1
        at = int((stop != 0).argmax())
        assert not stop[:at].any() and (stop[at:] == stop[at]).all()
        parts = layout.unpack(stop[at])
        assert parts["stopped"] and parts["error"] and parts["number"] <= len(job.program) and running[at - 1]
        assert not get(records, "dispatched")[at:].any() and not get(records, "i_program__ready")[at:].any()
        for name in ("o_ar", "o_aw"):
            valid, ready = get(records, f"{name}__valid"), get(records, f"{name}__ready")
            held = valid[at - 1] and not ready[at - 1]
            for cycle in range(at, len(records)):
                assert valid[cycle] == held
                held = held and not ready[cycle]
        # The program is over when all bursts are: one cycle after the last of them, at the soonest.
        flying = np.zeros(len(records), int)
        last = np.array([read_beat_layout(TINY).unpack(value)["last"] for value in get(records, "i_r__payload")])
        ends = {"o_ar": last & get(records, "i_r__valid").astype(int), "o_aw": get(records, "i_b__valid").astype(int)}
        offered = np.zeros(len(records), bool)
        for name, end in ends.items():
            valid = get(records, f"{name}__valid").astype(int)
            begun = valid & get(records, f"{name}__ready").astype(int)
            flying += np.cumsum(begun - end) - (begun - end)
            offered |= valid.astype(bool)
        quiet = (flying == 0) & ~offered
        over = at + int(quiet[at:].argmax())
        assert quiet[at:].any() and running[at - 1 : over + 1].all() and not running[over + 1 :].any()
    assert stops > 20


def test_bursts_are_of_the_programs_pages(runs):
    for job, records in runs:
        for name in ("o_ar", "o_aw"):
            for payload in get(records, f"{name}__payload")[get(records, f"{name}__valid").astype(bool)]:
                parts = burst_layout(TINY).unpack(payload)
                assert parts["address"] + (parts["beats"] + 1) * TINY.beat_bytes <= job.pages * PAGE_BYTES


def test_instructions_are_numbered_from_0_on(runs):
    for _, records in runs:
        given = [dispatch_layout(TINY).unpack(value) for value in get(records, "dispatched") if value]
        assert [parts["number"] for parts in given] == list(range(len(given)))


def doing_of(queue, work, level, starts, lost, lacks):
    if not work:
        return {"busy"} if starts else {"order"} if level else {"empty"}
    return {"conflict"} if lost else lacks


def test_what_each_queue_is_doing(runs):
    """A DMA queue's share of what crosses the memory port cannot be told apart: it may have any of it."""
    seen = set()
    names = {"tensor": ("moving", "stationary"), "vector": ("vector", "vector_x", "vector_t")}
    names |= {"scalar": ("scalar", "scalar_x")}
    queue_bits = {number: queue for number, queue in enumerate(QUEUES)}
    for job, records in runs:
        ports = {}
        for kind, rows in (("read", READS), ("write", WRITES)):
            for row, port in enumerate(rows):
                ports.setdefault(port, []).append((get(records, kind, row) & 1, get(records, f"{kind}_grant", row)))
        moves = np.zeros(len(records), bool)
        for name in ("o_ar", "o_aw", "o_w", "i_r"):
            moves |= (get(records, f"{name}__valid") & get(records, f"{name}__ready")).astype(bool)
        takes = get(records, "activation_valid") & get(records, "activation_ready")
        given = get(records, "dispatched")
        signals = {
            number: [get(records, name, number) for name in ("level", "starts", "completes", "o_doing")]
            for number in queue_bits
        }
        outstanding = dict.fromkeys(QUEUES, 0)
        for cycle in range(len(records)):
            for number, queue in queue_bits.items():
                level, starts, completes, doing = (column[cycle] for column in signals[number])
                mine = [pair for port in names.get(queue, (queue,)) for pair in ports[port]]
                lost = any(valid[cycle] and not granted[cycle] for valid, granted in mine)
                if queue == "tensor":
                    lacks = {"busy"} if takes[cycle] else {"stream"}
                elif queue.startswith("dma"):
                    served = any(granted[cycle] for _, granted in mine)
                    lacks = {"busy"} if served else {"busy", "stream"} if moves[cycle] else {"stream"}
                else:
                    lacks = {"busy", "stream"}
                due = doing_of(queue, outstanding[queue] > level, level, starts, lost, lacks)
                assert DOINGS[doing] in due, (queue, cycle)
                seen.add((queue, DOINGS[doing]))
                outstanding[queue] -= int(completes)
            if given[cycle]:
                number = dispatch_layout(TINY).unpack(given[cycle])["number"]
                outstanding[job.program[number].queue_name] += 1
    assert len(seen) == len(QUEUES) * len(DOINGS)
