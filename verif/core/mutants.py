"""How the float blocks take part in the campaign of mutants."""

from verif.core.blocks.units import BENCHES
from verif.mutants.hook import MutantHook
from verif.mutants.mutation import Mutation
from verif.mutants.units import Units

__all__ = ["MUTANTS"]


def _verilog(_: None) -> str:
    """Each block's module, and those within."""
    modules = {}
    for bench in BENCHES.values():
        modules |= bench.modules()
    return "\n".join(modules.values())


def _benches(mutation: Mutation) -> tuple[Units]:
    return (Units(mutation, BENCHES),)


MUTANTS = MutantHook(
    configs={"float": None},
    # The narrower within the way out is the tensor engine's, and mutated there.
    modules=lambda _: tuple(BENCHES),
    verilog=_verilog,
    benches=_benches,
)
