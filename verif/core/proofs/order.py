"""Properties of what keeps instructions in order: the queues before the engines, and what the dispatcher gives them."""

from collections.abc import Iterator
from dataclasses import replace

from arch.core.instructions import INSTRUCTION_BYTES, instruction_layout
from arch.core.layouts import NUMBER_BITS, burst_layout, program_layout, read_beat_layout
from arch.core.presets import CORES
from arch.core.timing import FETCH_DEPTH
from arch.layout import Layout
from hw.core.dispatcher import Dispatcher
from hw.core.instruction_queue import InstructionQueue
from hw.lib.joining import join_modules
from verif.modules import plain_modules
from verif.proofs.prover import Property

__all__ = ["order_properties"]

CONFIG = CORES["tiny"]
#: Any queue's instructions are as good as any other's.
KIND = "scalar"


def _queue() -> Property:
    """Any instruction is followed from where it is given: how many are before it, and what it still waits for."""
    depth, bits, queues = CONFIG.queue_depth, CONFIG.outstanding_bits, len(CONFIG.queues)
    code, level = instruction_layout(KIND).width, CONFIG.queue_depth.bit_length()
    remaining = [f"i_remaining__{queue}" for queue in range(queues)]
    entries = [f"d_entry_{index}" for index in range(depth)]
    counts = [f"d_remaining_{queue}_{index}" for queue in range(queues) for index in range(depth)]
    declared = "".join(f"\n  wire [{code + NUMBER_BITS - 1}:0] {name};" for name in entries)
    declared += "".join(f"\n  wire [{bits - 1}:0] {name};" for name in counts)
    waits = "".join(
        f"""
    if (follow_now) need_{queue} <= {name};
    else if (need_{queue} != 0 && i_completes[{queue}]) need_{queue} <= need_{queue} - 1;"""
        for queue, name in enumerate(remaining)
    )
    declared += "".join(f"\n  reg [{bits - 1}:0] need_{queue} = 0;" for queue in range(queues))
    at = "".join(
        f"""
    inv_entry_{index}: assert (!followed || ahead != {index} || d_entry_{index} == {{number, data}});"""
        for index in range(depth)
    )
    at += "".join(
        f"""
    inv_need_{queue}_{index}: assert (!followed || ahead != {index} || d_remaining_{queue}_{index} == need_{queue});"""
        for queue in range(queues)
        for index in range(depth)
    )
    nothing_left = " && ".join(f"need_{queue} == 0" for queue in range(queues))
    harness = f"""
module proof(input clk, rst, follow, i_give, take, input [{code - 1}:0] i_instruction,
  input [{NUMBER_BITS - 1}:0] i_number, input [{queues - 1}:0] i_completes,
  input [{bits - 1}:0] {", ".join(remaining)});
  wire [{level - 1}:0] level;
  wire start;
  wire [{code - 1}:0] instruction;
  wire [{NUMBER_BITS - 1}:0] number_taken;
  // The engine takes what may start and nothing else.
  wire i_take = take && start;
  instruction_queue dut (.clk(clk), .rst(rst), .i_give(i_give), .i_instruction(i_instruction), .i_number(i_number),
    {", ".join(f".{name}({name})" for name in remaining)}, .i_completes(i_completes), .o_level(level), .o_start(start),
    .o_instruction(instruction), .i_take(i_take), .o_number(number_taken));{declared}
  reg [{level - 1}:0] inside = 0, ahead = 0;
  reg followed = 0, known = 0, left = 0;
  reg [{code - 1}:0] data = 0;
  reg [{NUMBER_BITS - 1}:0] number = 0, was = 0;
  wire follow_now = i_give && follow && !followed;
  always @(posedge clk) begin
    known <= 1;
    inside <= inside + i_give - i_take;
    ahead <= ahead - (i_take && ahead != 0);
    left <= followed && ahead == 0 && i_take && !rst;
    was <= number;
    if (i_take && ahead == 0) followed <= 0;
    if (follow_now) begin
      followed <= 1;
      data <= i_instruction;
      number <= i_number;
      ahead <= inside - i_take;
    end{waits}
    if (rst) begin
      inside <= 0;
      followed <= 0;
    end
  end
  always @* begin
    assume (!i_give || inside < {depth});
    counted: assert (level == inside && inside <= {depth});
    inv_ahead: assert (!followed || ahead < inside);{at}
    in_order: assert (!followed || ahead != 0 || instruction == data);
    not_early: assert (!followed || ahead != 0 || !start || ({nothing_left}));
    not_late: assert (!followed || ahead != 0 || start || !({nothing_left}));
    named: assert (!left || number_taken == was);
  end
endmodule
"""
    peeks = {name: name.replace("d_", "dut.", 1) for name in (*entries, *counts)}
    return Property(
        name="instruction_queue",
        claim=f"each of {depth} instructions leaves once, in order, once what it waits for is complete and no later",
        device=lambda: join_modules(plain_modules(InstructionQueue(CONFIG, KIND))),
        harness=harness,
        engine="induction",
        depth=8,
        peeks=peeks,
        quick=True,
    )


def _dispatcher() -> Property:
    """Any beat is followed from memory to the queue of its instruction.

    Its place among the beats of the program is ``number`` and ``half``: an instruction has two.
    """
    config = replace(CONFIG, beat_bytes=INSTRUCTION_BYTES // 2)
    width, depth, behind = 8 * config.beat_bytes, FETCH_DEPTH * 2, FETCH_DEPTH * 2 - 1
    queues, bits, line = len(config.queues), config.outstanding_bits, behind.bit_length()
    most = config.queue_depth + 4
    program, beat = program_layout(config).width, read_beat_layout(config).width
    ask = burst_layout(config).width
    top = NUMBER_BITS - 1
    words = [f"d_word_{row}" for row in range(behind)]
    waits = "".join(
        f"""
    inv_outstanding_{q}: assert (outstanding_{q} == inside_{q} && inside_{q} <= {most});
    // Complete with the instruction that is so many before the one to come, counted among those of queue {q}.
    waits_{q}: assert (gives == 0 || remaining_{q} == (wait_{q} == 0 || wait_{q} > inside_{q} ? 0
      : inside_{q} - wait_{q} + 1 - i_completes[{q}]));
    assume (!i_completes[{q}] || inside_{q} != 0);
    assume (!i_room[{q}] || inside_{q} < {most});"""
        for q in range(queues)
    )
    declared = "".join(
        f"""
  wire [{bits - 1}:0] remaining_{q}, outstanding_{q};
  reg [{bits - 1}:0] inside_{q} = 0;
  always @(posedge clk) inside_{q} <= rst ? 0 : inside_{q} + gives[{q}] - i_completes[{q}];
  wire [{bits - 1}:0] wait_{q} = code[{_bits(instruction_layout("dma"), f"wait_{name}")}];"""
        for q, name in enumerate(config.queues)
    )
    pins = ", ".join(f".o_remaining__{q}(remaining_{q}), .o_outstanding__{q}(outstanding_{q})" for q in range(queues))
    complete = " && ".join(f"inside_{q} == 0" for q in range(queues))
    harness = f"""
module proof(input clk, rst, follow, i_program__valid, ask_ready, i_beat__valid, i_stopped, i_quiet,
  input [{program - 1}:0] i_program__payload, input [{beat - 1}:0] i_beat__payload,
  input [{queues - 1}:0] i_room, i_completes);
  wire program_ready, ask_valid, beat_ready, running, illegal;
  wire [{ask - 1}:0] ask;
  wire [{queues - 1}:0] gives;
  wire [{8 * INSTRUCTION_BYTES - 1}:0] code;
  wire [{top}:0] number_given, next, wanted, coming;{declared}
  dispatcher dut (.clk(clk), .rst(rst), .i_program__valid(i_program__valid), .i_program__ready(program_ready),
    .i_program__payload(i_program__payload), .o_ask__valid(ask_valid), .o_ask__ready(ask_ready), .o_ask__payload(ask),
    .i_beat__valid(i_beat__valid), .i_beat__ready(beat_ready), .i_beat__payload(i_beat__payload), .i_room(i_room),
    .i_completes(i_completes), .i_stopped(i_stopped), .i_quiet(i_quiet), .o_gives(gives), .o_code(code),
    .o_number(number_given), .o_running(running), .o_illegal(illegal), .o_next(next), .o_wanted(wanted),
    .o_coming(coming), {pins});
  // What is inside: the queue of beats, and where they become an instruction.
  wire [{width - 1}:0] {", ".join(words)};
  wire [{width * behind - 1}:0] words = {{{", ".join(reversed(words))}}};
  wire [{line - 1}:0] d_line, d_in, d_out;
  wire [{width - 1}:0] d_offer;
  wire [{2 * width - 1}:0] d_code;
  wire [{top}:0] d_left;
  wire [{depth.bit_length() - 1}:0] d_reserved;
  wire d_valid, d_goes, d_count, d_whole;
  // Beats that were asked for and did not come; that came and are in the queue. The next one's place.
  reg [5:0] owed = 0, inside = 0;
  reg [{top}:0] in_number = 0, total = 0;
  reg half = 0;
  wire started = i_program__valid && program_ready, asked = ask_valid && ask_ready, came = i_beat__valid && beat_ready;
  wire [{top + 1}:0] in_place = {{in_number, half}}, gone = in_place - inside;
  // The beat that is followed: in the queue behind so many others, or in the instruction.
  reg followed = 0, queued = 0, f_half = 0;
  reg [{top}:0] f_number = 0;
  reg [{width - 1}:0] data = 0;
  reg [5:0] ahead = 0;
  wire [5:0] place = d_out + ahead - d_valid;
  wire [5:0] row = place >= {behind} ? place - {behind} : place;
  // What was before.
  reg known = 0, was_stopped = 0, was_running = 0, gave = 0, took = 0;
  reg [{top}:0] was_next = 0;
  always @(posedge clk) begin
    known <= !rst;
    was_stopped <= i_stopped && !rst;
    was_running <= running;
    was_next <= next;
    gave <= gives != 0;
    took <= started;
    owed <= owed + (asked ? 2 : 0) - came;
    inside <= inside + came - d_goes;
    if (came) {{in_number, half}} <= in_place + 1;
    if (d_goes && queued && ahead == 0) queued <= 0;
    if (d_goes && ahead != 0) ahead <= ahead - 1;
    if (gives != 0 && followed && !queued) followed <= 0;
    if (came && follow && !followed) begin
      followed <= 1;
      queued <= 1;
      data <= i_beat__payload[{width - 1}:0];
      f_number <= in_number;
      f_half <= half;
      ahead <= inside - d_goes;
    end
    if (started) begin
      total <= i_program__payload[{_bits(program_layout(config), "instructions")}];
      in_number <= 0;
    end
    if (rst) begin
      owed <= 0;
      inside <= 0;
      in_number <= 0;
      total <= 0;
      half <= 0;
      followed <= 0;
      queued <= 0;
    end
  end
  always @* begin
    // Memory gives what it was asked for, and says which beats are the last.
    assume (!i_beat__valid || owed != 0);
    assume (i_beat__payload[{beat - 1}] == half);
    // Who stops it does so for good.
    assume (!was_stopped || i_stopped);
    inv_reserved: assert (d_reserved == owed + inside && owed <= {depth} && inside <= {depth} && d_reserved <= {depth});
    inv_half: assert (owed[0] == half);
    inv_line: assert (inside == d_line + d_valid && d_line <= {behind} && d_in < {behind} && d_out < {behind});
    inv_ring: assert (d_in == (d_out + d_line) % {behind});
    inv_word: assert (!queued || (d_valid && ahead == 0) || words[row * {width} +: {width}] == data);
    inv_offer: assert (!queued || ahead != 0 || !d_valid || d_offer == data);
    inv_gone: assert (gone == {{next, 1'b0}} + d_count + {{d_whole, 1'b0}} && !(d_whole && d_count));
    inv_numbers: assert (coming == in_number && {{wanted, 1'b0}} == in_place + owed && d_left + wanted == total);
    inv_bounds: assert (next <= in_number && gone <= in_place && in_place <= {{wanted, 1'b0}} && wanted <= total);
    inv_place: assert (!queued || (followed && ahead < inside && {{f_number, f_half}} == gone + ahead));
    inv_code: assert (!followed || queued || (f_number == next && (d_whole || f_half < d_count)
      && d_code[f_half * {width} +: {width}] == data));
    inv_idle: assert (running || was_stopped || (d_left == 0 && d_reserved == 0 && !d_whole && !d_count));
    // The instruction of a number is made of that number's beats, and is given once, after all before it.
    in_order: assert (gives == 0 || !followed || f_number != number_given
      || (!queued && code[f_half * {width} +: {width}] == data));
    none_passed: assert (!followed || gives == 0 || number_given <= f_number);
    once: assert (!known || next == (took ? 0 : was_next + gave));
    numbered: assert (gives == 0 || (number_given == next && next < total));
    to_one: assert ((gives & (gives - 1)) == 0 && (gives & ~i_room) == 0);
    never_then: assert (gives == 0 || !(illegal || i_stopped || !running));
    all_given: assert (!known || !was_running || running || was_stopped || (next == total && {complete}));{waits}
  end
endmodule
"""
    inside = {
        "d_line": "beats.fifo.inner_level", "d_in": "beats.fifo.w_port__addr", "d_out": "beats.fifo.r_port__addr",
        "d_offer": "beats__o__payload", "d_valid": "beats__o__valid", "d_goes": "out", "d_code": "code",
        "d_left": "left", "d_reserved": "reserved", "d_count": "count", "d_whole": "whole",
    }  # fmt: skip
    inside |= {word: f"beats.fifo.storage[{row}]" for row, word in enumerate(words)}
    return Property(
        name="dispatcher",
        claim="every instruction of a program is given once, in order, to one queue, with what it waits for",
        device=lambda: join_modules(plain_modules(Dispatcher(config))),
        harness=harness,
        engine="induction",
        depth=8,
        peeks={wire: f"dut.{path}" for wire, path in inside.items()},
    )


def _bits(layout: Layout, field: str) -> str:
    """Of a vector, those of a field."""
    low = layout.offset(field)
    return f"{low + layout.fields[field] - 1}:{low}"


def order_properties() -> Iterator[Property]:
    """All of them."""
    yield _queue()
    yield _dispatcher()
