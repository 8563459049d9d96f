"""In which numbers a model is computed."""

from dataclasses import dataclass
from math import floor, log2

from arch.formats import FORMATS
from kernels.library.norm import normalised_limit

__all__ = ["RECIPES", "Numbers"]


@dataclass(frozen=True)
class Numbers:
    """The operands of products; everything else is fp32.

    Parameters
    ----------
    dtype : str
        Of weights, activations, queries, keys, values and softmax numerators.
    values : float
        What values are multiplied by before they become codes. Queries and keys are not: a float's resolution does not
        depend on it.
    """

    dtype: str
    values: float = 1.0

    @property
    def narrow(self) -> bool:
        """8 bits: numbers of which nobody knows how large they are need a scale."""
        return FORMATS[self.dtype].bits == 8

    def normalised(self, width: int) -> float:
        """What a norm's result is multiplied by: a power of two, with which the largest that can be has room."""
        return 2.0 ** floor(log2(FORMATS[self.dtype].max_value / normalised_limit(width))) if self.narrow else 1.0


#: By name. Values of 28 are the largest that e4m3 holds beside a factor of 16.
RECIPES = {"fp8": Numbers("e4m3", values=16.0), "bf16": Numbers("bf16")}
