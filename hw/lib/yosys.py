"""Runs the yosys that comes with Amaranth."""

import os
from pathlib import Path

from amaranth._toolchain.yosys import YosysError, find_yosys

from arch.environment import EnvironmentFault, system_reason, usable_folder

__all__ = ["run_yosys"]

#: Below it wasmtime, which runs that yosys, keeps the machine code that it makes of it.
_CACHES = "XDG_CACHE_HOME"


def run_yosys(script: str) -> str:
    """What a script prints. EnvironmentFault where the machine is the reason that it fails."""
    # Wasmtime runs nothing where it cannot make its folder.
    folder = Path(os.environ.get(_CACHES) or os.path.expanduser("~/.cache")) / "wasmtime"
    usable = usable_folder(folder)
    if usable != folder:
        os.environ[_CACHES] = str(usable)
    try:
        return find_yosys(lambda version: version >= (0, 40)).run(["-q", "-"], script, ignore_warnings=True)
    except YosysError as error:
        if reason := system_reason(str(error)):
            raise EnvironmentFault(f"yosys failed: {reason}") from None
        raise
