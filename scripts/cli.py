"""The console script ``systolith``: an exit code, and a line for whatever ends a command early.

It loads nothing before it is ready for Ctrl-C: the commands and NumPy take half a second.
"""

import os
import sys

from scripts.ground.exits import BAD_INPUT, INTERRUPTED, NO_READER

__all__ = ["main"]

#: Set by the shell that asks how a word might go on.
COMPLETION = "_SYSTOLITH_COMPLETE"


def main() -> None:
    """Entry point: bad input ends with one line and exit code 2."""
    try:
        code = _run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(file=sys.stderr)  # the terminal has shown ^C
        code = _complain("interrupted", INTERRUPTED)
    except BrokenPipeError:
        if not _reader_is_gone():
            raise
        code = NO_READER
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
        return _complain(str(error))


def _own_errors() -> tuple[type[Exception], ...]:
    """Errors whose messages are meant for the user. Loaded where one has ended a command."""
    from scripts.campaigns.farm import FarmError
    from scripts.flows.fpga.tools import ToolError
    from scripts.ground.errors import InputError
    from verif.proofs.yosys import FormalError
    from verif.simulation.simulator import SimulatorError

    return FarmError, FormalError, InputError, SimulatorError, ToolError


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
    print(f"systolith: {' '.join(message.split())}", file=sys.stderr, flush=True)
    return code


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
