"""Every property by name, in the order of the table."""

from verif.formal.arithmetic import arithmetic_properties
from verif.formal.fused import fused_properties
from verif.formal.prover import Property
from verif.formal.psum import psum_properties
from verif.formal.sequencer import sequencer_properties
from verif.formal.streams import stream_properties
from verif.formal.sums import sum_properties

__all__ = ["PROPERTIES"]

_MAKERS = (
    stream_properties,
    sequencer_properties,
    psum_properties,
    arithmetic_properties,
    sum_properties,
    fused_properties,
)
PROPERTIES: dict[str, Property] = {prop.name: prop for make in _MAKERS for prop in make()}
