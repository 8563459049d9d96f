"""What the kernels of the core's cycle model work with: what a core is built as, and what is in it."""

from typing import NamedTuple

import numpy as np

from arch.core.config import CoreConfig
from arch.core.instructions import INSTRUCTION_BYTES
from arch.core.signals import read_ports, write_ports
from arch.core.timing import FETCH_DEPTH, WRITES_IN_FLIGHT
from golden.core.cycles.fields import DMA, LANE, MATMUL, SLOTS, fields_dtype

__all__ = [
    "Dispatch",
    "DmaState",
    "Environment",
    "Front",
    "Given",
    "Hardware",
    "Lanes",
    "Port",
    "Readers",
    "Sbuf",
    "State",
    "build_hardware",
    "reset_state",
]

#: Elements that a lane engine's pipeline holds at most, rounded up to a power of two.
FIFO = 32
#: Behind them: the reduced words, two operands, what is being computed.
REDUCED, OPERANDS, SCRATCH = FIFO, FIFO + 1, FIFO + 3

#: A port of SBUF in this cycle; ``row`` is 0 while it is not valid, ``fresh``: its data has come.
PORT = fields_dtype("valid", "row", "grant", "fresh")
#: A pattern that is offered to a reader in this cycle, and whether it is taken.
PATTERN = fields_dtype(
    "valid", "taken", "number", "address", "count0", "count1", "count2", "stride0", "stride1", "stride2", "bytes"
)
READER = fields_dtype(
    "active",
    "address",
    *("i0", "i1", "i2", "base", "count0", "count1", "count2", "stride0", "stride1", "stride2"),
    "bytes",  # of an element of the pattern
    "tagged",
    "tag",
    "full",
    "fresh",
    "offset",
    "last",
    "element_bytes",
    "number",  # of the instruction whose pattern was taken last
    "ready",  # its element is taken in this cycle
    "step",
)
LANE_STATE = fields_dtype(
    "phase",
    "asked",
    *("i0", "i1", "i2", "taken"),  # the element to be taken, and how many have been
    "all_taken",
    *("j0", "j1", "j2"),  # the element in the write stage
    "count",  # of REDUCE
    "valids",  # of the stages, stage 0 lowest
    "lasts",
    "put",  # elements put into the queue of words to be written,
    "got",  # and taken out of it
    *("advance", "take", "complete", "start"),  # in this cycle
)
FRONT = fields_dtype(
    *("valid", "tile", "command_sent", "weights_sent", "moving_sent", "base"),
    *("tiles", "rows", "number"),  # of the instruction
    *("command_valid", "command_ready", "weight_ready", "row_ready", "result_ready", "result_valid"),
    *("complete", "start"),
)
DISPATCH = fields_dtype(
    *("running", "address", "left", "pending"),  # pending: beats asked for and not taken out of the queue of beats
    *("head", "beats", "came"),  # of that queue; came: the newest one is still on its way through it
    "parts",  # beats of the instruction that is put together
    "next_address",  # of that instruction
    "legal",  # whether it is; -1 if nobody has said so yet
    *("instructions", "number"),  # of the program; those that have left
    "received",  # beats that have come
    "target",
    "leaves",
    "program_taken",
)
#: A queue of instructions. ``outstanding``: given and not complete; ``number``: of the instruction taken last. In this
#: cycle: ``start``, ``complete``, ``doing``.
QUEUE = fields_dtype("head", "level", "outstanding", "number", "start", "complete", "doing")
#: ``error``, ``number``: as the record has them. ``cycles``: that the program has run. ``bad_read``, ``bad_write``: in
#: this cycle, the first port of SBUF that names a row that there is not, or -1; ``found``, ``at_fault``: what stops it.
STOP = fields_dtype("stopped", "error", "number", "cycles", "bad_read", "bad_write", "found", "at_fault")
#: Choice: who is offered, -1 for none. Held: who was offered and not taken, -1 for none.
PORT_STATE = fields_dtype(
    *("read_held", "read_head", "reads", "read_choice"),
    *("write_held", "write_head", "writes", "write_choice"),
    *("sent", "writing"),  # bursts whose beats are out, of those not answered; the queue whose beats go out, or -1
    *("ar_valid", "ar_address", "ar_beats", "ar_taken", "ar_outside", "ar_offered"),  # offered: and not taken before
    *("aw_valid", "aw_address", "aw_beats", "aw_taken", "aw_outside", "aw_offered"),
    *("w_valid", "w_taken", "r_taken", "r_last"),
    "answered",  # the queue whose burst is, or -1
)
#: Where in its bursts a DMA queue is: the chunk, the lane (or element) of it, the first word, the beat.
WALKER = fields_dtype("chunk", "unit", "word", "beat")
DMA_STATE = fields_dtype(
    *("phase", "words", "row_chunks", "chunks"),
    "step",  # of INDEX
    *("asked", "filled", "drained"),
    *("ask_word", "fill_word"),  # of a source in SBUF
    "drain_word",
    *("full", "row", "last"),  # the write stage
    "open",  # bursts whose address is taken, and for whose beats the buffer is not all read
    "unanswered",
    *("leaves", "drains"),  # the write stage is emptied, and filled
    "bad_index",  # one is looked at that may not be
    *("complete", "start"),
)
MEMORY = fields_dtype(
    "cycle",  # simulated so far
    *("program_waits", "program_valid", "program_address", "instructions", "pages", "limit"),
    *("r_valid", "r_last", "r_head", "r_bursts", "r_beat"),
    *("b_valid", "b_head", "b_bursts"),
    *("read_beats", "write_answers"),  # offered since the program was
    *("r_response", "b_response"),
    *("ar_ready", "aw_ready", "w_ready"),
    "w_bursts",  # whose address is taken, and not the last of their beats
    "base",
    "strays",  # bytes written outside of the window
)
BURST = fields_dtype("address", "beats", "cycle")


class Hardware(NamedTuple):
    """Numbers that do not change."""

    lanes: int
    sbuf_rows: int
    bank_shift: int
    beat_bytes: int
    chunk_words: int
    dma_queues: int
    queue_depth: int
    reads_in_flight: int
    fetch_beats: int  # of an instruction
    code_bits: int
    psum_depth: int
    store_latency: int


class Sbuf(NamedTuple):
    """The memory, and its ports in order of priority."""

    memory: np.ndarray  # uint32[rows, P]
    reads: np.ndarray  # PORT[ports]
    read_data: np.ndarray  # uint32[ports, P]: of the grant in the cycle before
    writes: np.ndarray  # PORT[ports]
    write_data: np.ndarray  # uint32[ports, P]
    write_enable: np.ndarray  # uint8[ports, P]: a bit for each byte


class Readers(NamedTuple):
    """By read port, those of the DMA queues left out."""

    readers: np.ndarray  # READER[5]
    patterns: np.ndarray  # PATTERN[5]
    held: np.ndarray  # uint32[5, P]


class Lanes(NamedTuple):
    """The vector and the scalar engine."""

    states: np.ndarray  # LANE_STATE[2]
    codes: np.ndarray  # LANE[2]
    code_slots: np.ndarray  # int64[2, fields]: the same memory
    words: np.ndarray  # uint32[2, FIFO + 4, P]: elements on their way to the write stage, as they are written; others
    partials: np.ndarray  # uint32[2, P, 8]: partial sums; a maximum in the first


class Front(NamedTuple):
    """The tensor front end, and what it gives the engine."""

    state: np.ndarray  # FRONT[1]
    code: np.ndarray  # MATMUL[1]
    code_slots: np.ndarray
    quiet: np.ndarray  # int64[4]: whether the engine's result is taken, as golden.tensor.clocking has it


class Dispatch(NamedTuple):
    """The dispatcher, and the queues of instructions in the order of ``CoreConfig.queues``."""

    state: np.ndarray  # DISPATCH[1]
    beats: np.ndarray  # uint8[depth, W]
    instruction: np.ndarray  # uint8[64]
    words: np.ndarray  # uint32[16]: the same memory
    decoded: np.ndarray  # int64[SLOTS]
    entries: np.ndarray  # int64[queues, depth, SLOTS + 1 + queues]: instruction, number, what must still complete
    queues: np.ndarray  # QUEUE[queues]


class Port(NamedTuple):
    """The memory port. Those who ask for reads are the dispatcher, 0, and the DMA queues from 1 on."""

    state: np.ndarray  # PORT_STATE[1]
    readers: np.ndarray  # int64[64]: who asked for the bursts in flight
    writers: np.ndarray  # int64[WRITES_IN_FLIGHT]


class DmaState(NamedTuple):
    """The DMA queues."""

    states: np.ndarray  # DMA_STATE[queues]
    codes: np.ndarray  # DMA[queues]
    code_slots: np.ndarray
    walkers: np.ndarray  # WALKER[queues, 4]: asked, filled, address, beats
    buffer: np.ndarray  # uint8[queues, 2, P, 4 * C]
    words: np.ndarray  # uint32[queues, 2, P, C]: the same memory
    rows: np.ndarray  # int64[queues, P]: how many pitches a lane lies from the address of its side in memory
    kept: np.ndarray  # uint8[queues, P]: whether it takes part
    beat: np.ndarray  # uint8[queues, W]: the write stage of a sink in memory
    strobes: np.ndarray


class Environment(NamedTuple):
    """External memory."""

    state: np.ndarray  # MEMORY[1]
    reads: np.ndarray  # BURST[64]
    answers: np.ndarray  # BURST[WRITES_IN_FLIGHT]
    beat: np.ndarray  # uint8[W]: the one that is offered


class Given(NamedTuple):
    """What a job gives."""

    window: np.ndarray  # uint8[size]: of memory
    responses: np.ndarray  # uint8[beats]: to its reads; 0 behind them
    answers: np.ndarray  # uint8[bursts]: to its writes, likewise
    codes: np.ndarray  # uint32[instructions, 16]
    legal: np.ndarray  # int64[instructions]: whether each is


class State(NamedTuple):
    """All of a core that changes, but for its tensor engine."""

    sbuf: Sbuf
    readers: Readers
    lanes: Lanes
    front: Front
    dispatch: Dispatch
    port: Port
    dma: DmaState
    environment: Environment
    stop: np.ndarray  # STOP[1]


def build_hardware(config: CoreConfig) -> Hardware:
    """The numbers of a configuration that the kernels work with."""
    return Hardware(
        lanes=config.lanes,
        sbuf_rows=config.sbuf_rows,
        bank_shift=config.bank_rows.bit_length() - 1,
        beat_bytes=config.beat_bytes,
        chunk_words=config.chunk_words,
        dma_queues=config.dma_queues,
        queue_depth=config.queue_depth,
        reads_in_flight=config.reads_in_flight,
        fetch_beats=max(1, INSTRUCTION_BYTES // config.beat_bytes),
        code_bits=config.engine.code_bits,
        psum_depth=config.engine.psum_depth,
        store_latency=config.engine.store_latency,
    )


def _slots(codes: np.ndarray) -> np.ndarray:
    """A view of structures of int64 as numbers."""
    return codes.view(np.int64).reshape(len(codes), -1)


def _dispatch(config: CoreConfig, hardware: Hardware) -> Dispatch:
    queues, instruction = len(config.queues), np.zeros(INSTRUCTION_BYTES, np.uint8)
    return Dispatch(
        state=np.zeros(1, DISPATCH),
        beats=np.zeros((FETCH_DEPTH * hardware.fetch_beats, config.beat_bytes), np.uint8),
        instruction=instruction,
        words=instruction.view(np.uint32),
        decoded=np.zeros(SLOTS, np.int64),
        entries=np.zeros((queues, config.queue_depth, SLOTS + 1 + queues), np.int64),
        queues=np.zeros(queues, QUEUE),
    )


def _dma(config: CoreConfig) -> DmaState:
    queues = config.dma_queues
    buffer, codes = np.zeros((queues, 2, config.lanes, config.chunk_bytes), np.uint8), np.zeros(queues, DMA)
    return DmaState(
        states=np.zeros(queues, DMA_STATE),
        codes=codes,
        code_slots=_slots(codes),
        walkers=np.zeros((queues, 4), WALKER),
        buffer=buffer,
        words=buffer.view(np.uint32),
        rows=np.zeros((queues, config.lanes), np.int64),
        kept=np.zeros((queues, config.lanes), np.uint8),
        beat=np.zeros((queues, config.beat_bytes), np.uint8),
        strobes=np.zeros((queues, config.beat_bytes), np.uint8),
    )


def reset_state(config: CoreConfig, hardware: Hardware) -> State:
    """Everything as reset leaves it, SBUF zero."""
    lanes, reads, writes = config.lanes, len(read_ports(config)), len(write_ports(config))
    readers = reads - config.dma_queues
    codes, code = np.zeros(2, LANE), np.zeros(1, MATMUL)
    port = np.zeros(1, PORT_STATE)
    port["read_held"] = port["write_held"] = port["writing"] = -1
    return State(
        sbuf=Sbuf(
            memory=np.zeros((config.sbuf_rows, lanes), np.uint32),
            reads=np.zeros(reads, PORT),
            read_data=np.zeros((reads, lanes), np.uint32),
            writes=np.zeros(writes, PORT),
            write_data=np.zeros((writes, lanes), np.uint32),
            write_enable=np.zeros((writes, lanes), np.uint8),
        ),
        readers=Readers(np.zeros(readers, READER), np.zeros(readers, PATTERN), np.zeros((readers, lanes), np.uint32)),
        lanes=Lanes(
            states=np.zeros(2, LANE_STATE),
            codes=codes,
            code_slots=_slots(codes),
            words=np.zeros((2, SCRATCH + 1, lanes), np.uint32),
            partials=np.zeros((2, lanes, 8), np.uint32),
        ),
        front=Front(np.zeros(1, FRONT), code, _slots(code), np.zeros(4, np.int64)),
        dispatch=_dispatch(config, hardware),
        port=Port(port, np.zeros(64, np.int64), np.zeros(WRITES_IN_FLIGHT, np.int64)),
        dma=_dma(config),
        environment=Environment(
            np.zeros(1, MEMORY),
            np.zeros(64, BURST),
            np.zeros(WRITES_IN_FLIGHT, BURST),
            np.zeros(config.beat_bytes, np.uint8),
        ),
        stop=np.zeros(1, STOP),
    )
