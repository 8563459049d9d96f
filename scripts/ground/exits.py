"""Exit codes of the command line, beside 0."""

__all__ = ["BAD_INPUT", "DISAGREE", "ENVIRONMENT", "INTERRUPTED", "NO_READER"]

#: RTL and golden model differ, or a bar that a campaign must reach was missed.
DISAGREE = 1
#: The input is at fault, or a tool is missing; one line says what is accepted.
BAD_INPUT = 2
#: The machine is at fault, neither the design nor the input: a full disk, no file handles left, a damaged file.
ENVIRONMENT = 3
#: Ctrl-C; whoever read the output has gone. A shell says the same of a command that the signal ended.
INTERRUPTED, NO_READER = 130, 141
