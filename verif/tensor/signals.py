"""What verification knows of the signals of a tensor engine: a probe for each entry of ``arch.tensor.signals``.

An entry there and a probe here are all that a new signal needs: the record, the harness, reports and waveforms follow.
"""

from arch.tensor.layouts import beat_layout
from verif.simulation.hints import earlier_or_later, elsewhere, one_bit, only_part
from verif.simulation.unit import Probe
from verif.simulation.window import Moment
from verif.tensor import causes, contents, hints, paths, terms

__all__ = ["PROBES"]

#: Cause before effect. A wrong handshake lets a wrong row in at once, and the edges show what enters in the very cycle.
HANDSHAKE, ENTRY, ARRAY, PSUM, RESULT = range(5)

#: Parts of layouts that are numbers: what differs in them, the decoded values say better.
part = only_part("operand", "significand", "exponent", "magnitude", "acc", "codes")
#: Of what travels through the array: it may be early, late, or another lane's.
travelling = (part, earlier_or_later, elsewhere)


def _adder(at: Moment) -> str:
    aligned = at.config.exact and not at.config.integer_operands
    adders = ["exact_adder.py" if at.config.exact else "fused_adder.py", *["aligner.py"] * aligned]
    return ", ".join([*(f"hw/arithmetic/{file}" for file in adders), "hw/tensor/pe.py"])


def _west_files(at: Moment) -> str:
    """Tags are the sequencer's, operands come from the decoder."""
    tags = (1 << beat_layout(at.config).offset("operand")) - 1
    decoder = "hw/arithmetic/decoder.py; its format: " if at.differs and not at.differs & tags else ""
    return f"hw/tensor/edges.py, {decoder}hw/tensor/sequencer.py"


def _request_files(at: Moment) -> str:
    """Requests enter column 0 from the sequencer and pass from bank to bank."""
    return "hw/tensor/bank.py" if at.col else "hw/tensor/sequencer.py"


def _ready(term=lambda at: "") -> Probe:
    return Probe(
        place="port {name}",
        stage="handshake",
        files="hw/tensor/sequencer.py",
        rank=HANDSHAKE,
        causes=causes.ready,
        term=term,
    )


PROBES = {
    # ---- handshakes ----------------------------------------------------------------------------
    "i_command__ready": _ready(),
    "i_weight__ready": _ready(),
    "i_activation__ready": _ready(terms.of_waiting_row),
    # ---- what enters the array -----------------------------------------------------------------
    "west": Probe(
        place="west edge, lane {row}",
        stage="activation entry",
        files=_west_files,
        path=paths.west,
        rank=ENTRY,
        causes=causes.west,
        term=terms.of_west,
        hints=(*travelling, hints.other_format, one_bit),
        contents=contents.beat,
    ),
    "north": Probe(
        place="north edge, column {col}",
        stage="weight entry",
        files="hw/tensor/edges.py, hw/arithmetic/decoder.py; its format and enable: hw/tensor/sequencer.py",
        path=paths.north,
        rank=ENTRY,
        causes=causes.north,
        term=terms.of_north,
        hints=(*travelling, hints.other_format, one_bit),
        contents=contents.pipes,
    ),
    # ---- the registers of a PE -----------------------------------------------------------------
    "weight": Probe(
        place="PE({row}, {col}).weight",
        stage="weight pipe",
        files="hw/tensor/pe.py",
        path=paths.register,
        rank=ARRAY,
        causes=causes.weight,
        term=terms.of_weight,
        hints=(*travelling, one_bit),
        contents=contents.pipes,
    ),
    "shadow": Probe(
        place="PE({row}, {col}).shadow",
        stage="shadow weight plane",
        files="hw/tensor/pe.py",
        path=paths.register,
        rank=ARRAY,
        causes=causes.shadow,
        term=terms.of_weight,
        hints=(*travelling, one_bit),
        contents=contents.operand,
    ),
    "active": Probe(
        place="PE({row}, {col}).active",
        stage="active weight plane",
        files="hw/tensor/pe.py",
        path=paths.register,
        rank=ARRAY,
        causes=causes.active,
        term=terms.of_pe,
        hints=(*travelling, one_bit),
        contents=contents.operand,
    ),
    "beat": Probe(
        place="PE({row}, {col}).beat",
        stage="activation",
        files="hw/tensor/pe.py",
        path=paths.register,
        rank=ARRAY,
        causes=causes.beat,
        term=terms.of_pe,
        hints=(*travelling, one_bit),
        contents=contents.beat,
    ),
    "product": Probe(
        place="PE({row}, {col}).product",
        stage="product",
        files="hw/arithmetic/multiplier.py, hw/tensor/pe.py",
        path=paths.register,
        rank=ARRAY,
        causes=causes.product,
        term=terms.of_pe,
        hints=(*travelling, one_bit),
        contents=contents.product,
    ),
    "psum": Probe(
        place="PE({row}, {col}).psum",
        stage="accumulation",
        files=_adder,
        path=paths.register,
        rank=ARRAY,
        causes=causes.psum,
        term=terms.of_pe,
        hints=(hints.wrong_sum, hints.fp32_sum, earlier_or_later, one_bit),
        contents=contents.psum,
    ),
    # ---- PSUM, a bank for each column ----------------------------------------------------------
    "seed_request": Probe(
        place="PSUM column {col}, seed request",
        stage="PSUM seed",
        files=_request_files,
        path=paths.seed_request,
        rank=PSUM,
        causes=causes.request,
        term=terms.of_column(lambda at: 1),
        hints=(part, earlier_or_later, one_bit),
        contents=contents.seed_request,
    ),
    "seed": Probe(
        place="PSUM column {col}, seed",
        stage="PSUM seed",
        files="hw/tensor/bank.py",
        path=paths.seed,
        rank=PSUM,
        causes=causes.seed,
        term=terms.of_column(lambda at: at.config.product_latency + 1),
        hints=(hints.fp32_sum, hints.start_from_zero, earlier_or_later, one_bit),
        contents=contents.psum,
    ),
    "store": Probe(
        place="PSUM column {col}, store request",
        stage="PSUM store",
        files=_request_files,
        path=paths.store,
        rank=PSUM,
        causes=causes.request,
        term=terms.of_column(lambda at: at.config.store_latency),
        hints=(part, earlier_or_later, one_bit),
        contents=contents.store,
    ),
    "stored": Probe(
        place="PSUM column {col}, memory after a store",
        stage="PSUM store",
        files="hw/tensor/bank.py",
        path=paths.stored,
        rank=PSUM,
        causes=causes.stored,
        term=terms.of_column(lambda at: at.config.store_latency + 1),
        hints=(hints.fp32_sum, hints.never_stored, earlier_or_later, one_bit),
        contents=contents.psum,
    ),
    "read": Probe(
        place="PSUM column {col}, read-out port",
        stage="PSUM read-out",
        files="hw/tensor/bank.py",
        path=paths.read,
        rank=PSUM,
        causes=causes.read,
        term=terms.of_read,
        hints=(hints.fp32_sum, hints.never_stored, earlier_or_later, one_bit),
        contents=contents.psum,
    ),
    # ---- the read-out --------------------------------------------------------------------------
    "order": Probe(
        place="sequencer, order to read a row out",
        stage="read-out order",
        files="hw/tensor/sequencer.py",
        path=paths.order,
        rank=ENTRY,
        term=terms.of_column(lambda at: 0),
        hints=(part, one_bit),
        contents=contents.order,
    ),
    "read_request": Probe(
        place="read-out, request",
        stage="PSUM read-out",
        files="hw/tensor/readout.py, hw/tensor/sequencer.py (o_finished)",
        path=paths.read_request,
        rank=PSUM,
        term=terms.of_read_request,
        hints=(part, one_bit),
        contents=contents.read_request,
    ),
    "order_read": Probe(
        place="read-out, how the row is read out",
        stage="read-out",
        files="hw/tensor/readout.py",
        path=paths.order_read,
        rank=PSUM,
        causes=causes.order_read,
        hints=(part, one_bit),
        contents=contents.order_read,
    ),
    "o_result__valid": Probe(
        place="port o_result__valid",
        stage="read-out",
        files="hw/tensor/readout.py",
        rank=RESULT,
        term=terms.of_result,
    ),
    "o_result__payload": Probe(
        place="port o_result__payload",
        stage="read-out",
        files="hw/arithmetic/rounder.py, hw/arithmetic/narrower.py, hw/tensor/readout.py",
        rank=RESULT,
        causes=causes.result,
        term=terms.of_result,
        hints=(hints.result_codes, part, one_bit),
        contents=contents.result,
        shown=contents.shown_result,
    ),
}
