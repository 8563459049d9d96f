"""Properties of what keeps instructions in order: the queues before the engines, and what the dispatcher gives them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from arch.core.instructions import INSTRUCTION_BYTES, instruction_layout
from arch.core.layouts import NUMBER_BITS, burst_layout, program_layout
from arch.core.presets import CORES
from arch.core.timing import FETCH_DEPTH
from hw.core.dispatcher import Dispatcher
from hw.core.instruction_queue import InstructionQueue
from hw.lib.joining import join_modules
from verif.modules import plain_modules
from verif.proofs.prover import Property
from verif.proofs.texts import with_parameters

__all__ = ["order_properties"]

CONFIG = CORES["tiny"]
#: Any queue's instructions are as good as any other's.
KIND = "scalar"


def _specification(name: str, device: str, **parameters: int) -> str:
    """The file of that name beside this one, around the device."""
    text = Path(__file__).with_name(f"{name}.sv").read_text(encoding="utf-8")
    return with_parameters(text, **parameters).replace('`include "device"', device)


def _instance(module: str, pins: Mapping[str, str]) -> str:
    connected = ", ".join(f".{pin}({wire})" for pin, wire in pins.items())
    return f"{module} dut (.clk(clk), .rst(rst), {connected});"


def _peeked(vector: str, width: int, signals: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Signals of the device as one vector, the first lowest; and where its wires come from."""
    wires = [f"{vector}_{number}" for number in range(len(signals))]
    text = f"\n  wire [{width - 1}:0] {', '.join(wires)};\n  assign {vector} = {{{', '.join(reversed(wires))}}};"
    return text, {wire: f"dut.{signal}" for wire, signal in zip(wires, signals, strict=True)}


def _parts(pin: str, vector: str, width: int, count: int) -> dict[str, str]:
    """Ports that are numbered, connected to parts of a vector."""
    return {f"{pin}__{number}": f"{vector}[{number * width} +: {width}]" for number in range(count)}


def _queue() -> Property:
    depth, bits, queues = CONFIG.queue_depth, CONFIG.outstanding_bits, len(CONFIG.queues)
    code = instruction_layout(KIND).width
    pins = {
        "i_give": "give", "i_instruction": "given", "i_number": "given_number", "i_completes": "completes",
        "o_level": "level", "o_start": "start", "o_instruction": "instruction", "i_take": "takes",
        "o_number": "number_taken",
    }  # fmt: skip
    device = _instance("instruction_queue", pins | _parts("i_remaining", "remaining", bits, queues))
    entries, peeks = _peeked("entries", NUMBER_BITS + code, [f"entry_{index}" for index in range(depth)])
    counts = [f"remaining_{queue}_{index}" for queue in range(queues) for index in range(depth)]
    waits, more = _peeked("waits", bits, counts)
    return Property(
        name="instruction_queue",
        claim=f"each of {depth} instructions leaves once, in order, once what it waits for is complete and no later",
        device=lambda: join_modules(plain_modules(InstructionQueue(CONFIG, KIND))),
        harness=_specification(
            "instruction_queue",
            device + entries + waits,
            DEPTH=depth,
            QUEUES=queues,
            CODE=code,
            NUMBER=NUMBER_BITS,
            BITS=bits,
        ),
        engine="induction",
        depth=8,
        peeks=peeks | more,
        quick=True,
    )


def _dispatcher() -> Property:
    config = replace(CONFIG, beat_bytes=INSTRUCTION_BYTES // 2)
    bits, queues, rows = config.outstanding_bits, len(config.queues), FETCH_DEPTH * 2 - 1
    pins = {
        "i_program__valid": "program_valid", "i_program__ready": "program_ready", "i_program__payload": "program",
        "o_ask__valid": "ask_valid", "o_ask__ready": "ask_ready", "o_ask__payload": "ask",
        "i_beat__valid": "beat_valid", "i_beat__ready": "beat_ready", "i_beat__payload": "{last, 2'b0, beat}",
        "i_room": "room", "i_completes": "completes", "i_stopped": "stopped", "i_quiet": "quiet",
        "o_gives": "gives", "o_code": "code", "o_number": "number_given", "o_running": "running",
        "o_illegal": "illegal", "o_next": "next", "o_wanted": "wanted", "o_coming": "coming",
    }  # fmt: skip
    for name in ("remaining", "outstanding"):
        pins |= _parts(f"o_{name}", name, bits, queues)
    words, peeks = _peeked("words", 8 * config.beat_bytes, [f"beats.fifo.storage[{row}]" for row in range(rows)])
    inside = {
        "d_line": "beats.fifo.inner_level", "d_in": "beats.fifo.w_port__addr", "d_out": "beats.fifo.r_port__addr",
        "d_offer": "beats__o__payload", "d_valid": "beats__o__valid", "d_goes": "out", "d_code": "code",
        "d_left": "left", "d_reserved": "reserved", "d_count": "count", "d_whole": "whole",
    }  # fmt: skip
    return Property(
        name="dispatcher",
        claim="every instruction of a program is given once, in order, to one queue, with what it waits for",
        device=lambda: join_modules(plain_modules(Dispatcher(config))),
        harness=_specification(
            "dispatcher",
            f"wire [{burst_layout(config).width - 1}:0] ask;\n  " + _instance("dispatcher", pins) + words,
            QUEUES=queues,
            BITS=bits,
            MOST=config.queue_depth + 4,
            WIDTH=8 * config.beat_bytes,
            ROWS=rows,
            NUMBER=NUMBER_BITS,
            PROGRAM=program_layout(config).width,
            COUNT=program_layout(config).offset("instructions"),
            WAITS=instruction_layout("dma").offset(f"wait_{config.queues[0]}"),
        ),
        engine="induction",
        depth=8,
        peeks=peeks | {wire: f"dut.{path}" for wire, path in inside.items()},
    )


def order_properties() -> Iterator[Property]:
    """All of them."""
    yield _queue()
    yield _dispatcher()
