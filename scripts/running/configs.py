"""A command's engine configuration: a preset or a TOML file, and options that change its fields."""

import functools
import re
import tomllib
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import get_type_hints

import click

from arch.formats import ACCUMULATIONS, OPERAND_FORMATS
from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from scripts.ground.errors import InputError

__all__ = ["ChosenConfig", "config_name", "config_options", "load_config", "make_config"]

_TYPES = get_type_hints(EngineConfig)
#: What a terminal shows in place of the docstring's words.
_HELP = {
    "rows": "Rows of the array, 1..256.",
    "cols": "Columns of the array, 1..256.",
    "formats": f"Operand formats, from {','.join(OPERAND_FORMATS)}.",
    "accumulation": "How partial sums are kept.",
}


@dataclass(frozen=True)
class ChosenConfig:
    """A configuration and what to call it.

    ``name``: the preset, the file's stem, or ``config_name`` where options changed either; fit for a file name.
    ``options``: the command line's part that names it again. ``preset``: what it began as; empty for a file.
    """

    config: EngineConfig
    name: str
    options: tuple[str, ...] = ()
    preset: str = ""


def config_name(config: EngineConfig) -> str:
    """Size, formats and accumulation, then every other field that is not at its default: ``8x8_e4m3_exact``."""
    name = f"{config.rows}x{config.cols}_{'_'.join(config.formats)}_{config.accumulation}"
    for field in fields(config):
        value = getattr(config, field.name)
        if field.default is not MISSING and value != field.default:
            name += f"_{field.name}" + ("" if value is True else f"_{value}")
    return name


def make_config(values: dict[str, object], source: str = "") -> EngineConfig:
    """The configuration of these fields. InputError, beginning with ``source``, for what EngineConfig refuses."""
    try:
        return EngineConfig(**values)
    except (TypeError, ValueError) as error:
        raise InputError(f"{source}{error}") from None


def load_config(path: str) -> EngineConfig:
    """The configuration in a TOML file: the fields of EngineConfig, those without a default required.

    InputError for a file that cannot be read, for fields unknown or missing, and for wrong values.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"--config: no file {path}; needs a preset ({', '.join(PRESETS)}) or a .toml file") from None
    except OSError as error:
        raise InputError(f"--config: cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        # Not of tomllib's own kind for a number of too many digits, or tables in tables in tables.
        raise InputError(f"--config: {path} is not TOML: {error}") from None
    names = {field.name: field.default is MISSING for field in fields(EngineConfig)}
    if unknown := [name for name in values if name not in names]:
        raise InputError(f"--config: {path}: no field {', '.join(unknown)}; takes {', '.join(names)}")
    if missing := [name for name, required in names.items() if required and name not in values]:
        raise InputError(f"--config: {path}: needs {', '.join(missing)}")
    # TOML has lists, a configuration tuples.
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return make_config(values, f"--config: {path}: ")


class _Preset(click.ParamType):
    """A preset's name, or the name of a TOML file."""

    name = "preset|file.toml"

    def convert(self, value, param, ctx):
        if value not in PRESETS and not value.endswith(".toml"):
            known = ", ".join(repr(name) for name in PRESETS)
            self.fail(f"{value!r} is not one of {known}, nor a .toml file.", param, ctx)
        return value


class _Names(click.ParamType):
    """Names separated by commas."""

    name = "names"

    def convert(self, value, param, ctx):
        return value if isinstance(value, tuple) else tuple(name.strip() for name in value.split(","))


def _help(name: str) -> str:
    """What EngineConfig's docstring says of a field, up to the first full stop."""
    match = re.search(rf"^ *(?:\w+, )*{name}(?:, \w+)* : .*\n((?: {{8,}}.*\n)+)", EngineConfig.__doc__, re.MULTILINE)
    text = " ".join(match[1].replace("`", "").split()).partition(". ")[0].rstrip(".") + "." if match else ""
    return _HELP.get(name, text)


def _field_option(name: str) -> Callable:
    """The option that changes a field: a new field of EngineConfig has one by itself."""
    flag, kind = name.replace("_", "-"), _TYPES[name]
    if kind is bool:
        return click.option(f"--{flag}/--no-{flag}", name, default=None, help=_help(name))
    if name == "formats":
        kind = _Names()
    elif name == "accumulation":
        kind = click.Choice(ACCUMULATIONS)
    return click.option(f"--{flag}", name, type=kind, help=_help(name))


def config_options(command: Callable | None = None, *, default: str = "fp8") -> Callable:
    """Give a click command ``--config`` and an option for every field, and call it with ``chosen``, a ChosenConfig."""
    if command is None:
        return functools.partial(config_options, default=default)
    names = [field.name for field in fields(EngineConfig)]

    @functools.wraps(command)
    def choose(preset, **arguments):
        changes = {name: arguments.pop(name) for name in names}
        changes = {name: value for name, value in changes.items() if value is not None}
        return command(chosen=_choose(preset or default, changes), **arguments)

    for name in reversed(names):
        choose = _field_option(name)(choose)
    text = (
        f"A preset ({', '.join(PRESETS)}) or a TOML file of fields; the options below change it.  [default: {default}]"
    )
    return click.option("--config", "preset", type=_Preset(), help=text)(choose)


def _choose(preset: str, changes: dict[str, object]) -> ChosenConfig:
    base = PRESETS[preset] if preset in PRESETS else load_config(preset)
    options, begun = ["--config", preset], preset if preset in PRESETS else ""
    for name, value in changes.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            options.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            options += [f"--{flag}", ",".join(value) if isinstance(value, tuple) else str(value)]
    if not changes:
        return ChosenConfig(base, Path(preset).stem, tuple(options), begun)
    try:
        config = replace(base, **changes)
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from None
    return ChosenConfig(config, config_name(config), tuple(options), begun)
