"""Every property by name, in the order of the table."""

from verif.proofs.prover import Property
from verif.tensor.proofs.arithmetic import arithmetic_properties
from verif.tensor.proofs.fused import fused_properties
from verif.tensor.proofs.psum import psum_properties
from verif.tensor.proofs.readout import readout_properties
from verif.tensor.proofs.sequencer import sequencer_properties
from verif.tensor.proofs.streams import stream_properties
from verif.tensor.proofs.sums import sum_properties

__all__ = ["PROPERTIES"]

_MAKERS = (
    stream_properties,
    sequencer_properties,
    psum_properties,
    readout_properties,
    arithmetic_properties,
    sum_properties,
    fused_properties,
)
PROPERTIES: dict[str, Property] = {prop.name: prop for make in _MAKERS for prop in make()}
