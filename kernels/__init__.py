"""Programs for the core, made in Python: what is issued when, where it lies, and what waits for what.

``from kernels import kernel, language as nl`` is how a kernel begins; see docs/kernels.md.
"""

from kernels import language
from kernels.language.program import kernel

__all__ = ["kernel", "language"]
