"""Runs inside the simulator: ends it when the process that started it is gone."""

import fcntl
import os
import select
import signal

__all__ = ["follow_parent"]


def follow_parent() -> None:
    """Die with the parent, which holds the other end of standard input and never writes to it.

    A parent that was killed leaves a simulator that waits for records in ``open`` or ``read``, and nobody would ever
    send one. A thread would not help: the simulator keeps Python's lock meanwhile. So the system is asked for a signal
    when the other end closes, which ends a process that does not handle it.
    """
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([0], [], [], 0)[0]:  # it was closed before
        os.kill(os.getpid(), signal.SIGKILL)
