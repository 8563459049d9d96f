"""The console script ``systolith``: an exit code, and a line for whatever ends a command early.

It loads nothing before it is ready for Ctrl-C: the commands and NumPy take half a second.
"""

import os
import sys
from contextlib import suppress

from arch.environment import fault, system_reason
from scripts.ground.exits import BAD_INPUT, ENVIRONMENT, INTERRUPTED, NO_READER

__all__ = ["main"]

#: Set by the shell that asks how a word might go on.
COMPLETION = "_SYSTOLITH_COMPLETE"


def main() -> None:
    """Entry point: bad input ends with one line and exit code 2, a fault of the machine with one and 3."""
    try:
        code = _run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(file=sys.stderr)  # the terminal has shown ^C
        code = _complain("interrupted", INTERRUPTED)
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _reader_is_gone():
            code = NO_READER
        elif reason := fault(error):
            code = _complain(f"the machine fails: {reason}", ENVIRONMENT)
            _drop_output()
        else:
            raise
    sys.exit(code)


def _run() -> int:
    """The exit code of the command line."""
    import click

    from scripts.commands import cli

    if COMPLETION in os.environ:
        cli.main(prog_name="systolith")
    try:
        # Not by main, to which a closed pipe is exit code 1 and every end of a file Ctrl-C.
        with cli.make_context("systolith", sys.argv[1:]) as context:
            return cli.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        return _complain(f"{error.format_message()} {_usage(error)}")
    except MemoryError:
        return _complain("not enough memory; needs smaller tensors")
    except Exception as error:
        if not isinstance(error, _own_errors()):
            raise
        return _complain(str(error), ENVIRONMENT if _machine_is_why(error) else BAD_INPUT)


def _own_errors() -> tuple[type[Exception], ...]:
    """Errors whose messages are meant for the user. Loaded where one has ended a command."""
    from scripts.campaigns.farm import FarmError
    from scripts.flows.fpga.tools import ToolError
    from scripts.ground.errors import InputError
    from verif.proofs.yosys import FormalError
    from verif.simulation.simulator import SimulatorError

    return FarmError, FormalError, InputError, SimulatorError, ToolError


def _machine_is_why(error: Exception) -> bool:
    """Whether an error of ours tells of one of the system's, or of a file in a working directory that is gone."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return system_reason(str(error)) is not None


def _usage(error) -> str:
    """What the command takes, in one line, unless the message says it already."""
    import click

    if isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter):
        return ""
    if error.ctx is None:
        return "See --help."
    options = [p.opts[-1] for p in error.ctx.command.get_params(error.ctx) if isinstance(p, click.Option)]
    return f"{error.ctx.get_usage()}, options {' '.join(options)}"


def _complain(message: str, code: int = BAD_INPUT) -> int:
    # Where nothing can be written the exit code says it alone.
    with suppress(OSError):
        print(f"systolith: {' '.join(message.split())}", file=sys.stderr, flush=True)
    return code


def _drop_output() -> None:
    """Give up what cannot be written: Python tries it once more when it ends, and then has an exit code of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # The handle that was closed is the next to be given: no other is needed.
            os.close(stream.fileno())
            os.open(os.devnull, os.O_WRONLY)


def _reader_is_gone() -> bool:
    """Whether nobody reads what is printed, as after ``systolith ... | head -1``; the rest of it is then dropped."""
    import select

    gone = False
    for stream in (sys.stdout, sys.stderr):
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        if poll.poll(0):
            gone = True
            # Python writes what is left when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return gone
