"""How the blocks that every unit is made with take part in the campaign of mutants."""

from verif.lib.units import BENCHES, WIDTH
from verif.modules import plain_modules
from verif.mutants.hook import MutantHook
from verif.mutants.known import Guard, Known
from verif.mutants.mutation import Mutation
from verif.mutants.units import Units

__all__ = ["MUTANTS"]

#: Of each block, the bench in which it is mutated.
MUTATED = {
    "stream_queue": BENCHES["stream_queue-5"],
    "register_slice": BENCHES["register_slice"],
    "arbiter": BENCHES["arbiter-3"],
    # Proofs take a memory of one write port; granules are one each.
    "memory": BENCHES["memory-two_reads"],
}
#: The queue's logic.
FIFO = "stream_queue__fifo"


def _verilog(_: None) -> str:
    return "\n".join(text for bench in MUTATED.values() for text in plain_modules(bench.block()).values())


def _known(module: str, _: None) -> Known:
    """A payload means nothing while it is not valid: a stream's other end does not look at it then."""
    if module == "register_slice":
        places = [("register", "spare", "spare_valid"), ("register", "o__payload", "o__valid")]
        places.append(("output", "o__payload", "o__valid"))
        return Known(guards=[Guard(kind, name, 0, WIDTH, condition) for kind, name, condition in places])
    return Known()


def _benches(mutation: Mutation) -> tuple[Units]:
    return (Units(mutation, MUTATED, {FIFO: "stream_queue"}),)


MUTANTS = MutantHook(
    configs={"lib": None},
    modules=lambda _: (FIFO, "register_slice", "arbiter", "memory"),
    verilog=_verilog,
    known=_known,
    benches=_benches,
)
