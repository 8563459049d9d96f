"""A command's configuration: presets, TOML files, options made from the fields of EngineConfig."""

from dataclasses import MISSING, fields
from pathlib import Path

import click
import pytest

from arch.tensor.config import EngineConfig
from arch.tensor.presets import PRESETS
from scripts.ground.errors import InputError
from scripts.running.configs import ChosenConfig, config_name, config_options, load_config

OWN = """\
rows = 2
cols = 3
formats = ["e5m2", "e4m3"]
accumulation = "fp32"
psum_depth = 64
"""
OWN_CONFIG = EngineConfig(rows=2, cols=3, formats=("e4m3", "e5m2"), accumulation="fp32", psum_depth=64)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def choose(*arguments: str) -> ChosenConfig:
    @click.command()
    @config_options(default="tiny")
    def command(chosen):
        return chosen

    return command.main(arguments, standalone_mode=False)


def test_a_preset_and_the_default():
    assert choose() == ChosenConfig(PRESETS["tiny"], "tiny", ("--config", "tiny"), "tiny")
    assert choose("--config", "bf16") == ChosenConfig(PRESETS["bf16"], "bf16", ("--config", "bf16"), "bf16")


def test_a_file():
    Path("own.toml").write_text(OWN, encoding="utf-8")
    assert choose("--config", "own.toml") == ChosenConfig(OWN_CONFIG, "own", ("--config", "own.toml"))


def test_a_file_may_begin_with_a_byte_order_mark():
    Path("own.toml").write_bytes(b"\xef\xbb\xbf" + OWN.encode())
    assert load_config("own.toml") == OWN_CONFIG


def test_options_change_a_file_and_say_so_again():
    Path("own.toml").write_text(OWN, encoding="utf-8")
    options = ("--config", "own.toml", "--rows", "8", "--formats", "e4m3, e5m2,bf16", "--k-max", "32")
    chosen = choose(*options)
    assert chosen.config.rows == 8 and chosen.config.cols == 3 and chosen.config.k_max == 32
    assert chosen.name == "8x3_e4m3_e5m2_bf16_fp32_k_max_32_psum_depth_64"
    assert choose(*chosen.options) == chosen


def test_every_field_has_an_option_with_a_help():
    command = click.command()(config_options(lambda chosen: None))
    options = {option.name: option for option in command.params}
    assert list(options) == ["preset", *(field.name for field in fields(EngineConfig))]
    assert all(option.help for option in options.values())


def test_names_tell_configurations_apart():
    assert config_name(PRESETS["tiny"]) == "4x4_e4m3_exact"
    for field in fields(EngineConfig):
        if field.default is not MISSING and isinstance(field.default, int) and not isinstance(field.default, bool):
            assert f"_{field.name}" not in config_name(PRESETS["tiny"])
    assert config_name(OWN_CONFIG) == "2x3_e4m3_e5m2_fp32_psum_depth_64"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rows = ", "--config: own.toml is not TOML: Invalid value"),
        (f"rows = {'9' * 5000}", "--config: own.toml is not TOML: Exceeds the limit"),
        (f"rows = {'[' * 5000}", "--config: own.toml is not TOML: maximum recursion depth exceeded"),
        (OWN.replace("2", "nan", 1), "--config: own.toml: rows must be an int, not nan"),
        (OWN + "speed = 3\nsize = 1\n", "--config: own.toml: no field speed, size; takes rows, cols, formats, accumul"),
        ("rows = 4\nformats = []\n", "--config: own.toml: needs cols, accumulation"),
        (OWN.replace("2", '"2"', 1), "--config: own.toml: rows must be an int, not '2'"),
        (OWN.replace("2", "0", 1), "--config: own.toml: rows must be in 1..256, not 0"),
        (OWN.replace("2", "2.0", 1), "--config: own.toml: rows must be an int, not 2.0"),
        (OWN.replace('"e5m2"', '"fp4"'), "--config: own.toml: formats must be among e4m3, e5m2, bf16, not 'fp4'"),
        (OWN.replace('["e5m2", "e4m3"]', '"e4m3"'), "--config: own.toml: formats must be a tuple of names, not 'e4m3'"),
        (OWN.replace('"fp32"', "true"), "--config: own.toml: accumulation must be exact or fp32, not True"),
        (OWN.replace("64", "100"), "--config: own.toml: psum_depth must be a power of two, not 100"),
    ],
)
def test_a_wrong_file(text, message):
    Path("own.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        load_config("own.toml")
    assert str(refused.value).startswith(message)


def test_files_that_cannot_be_read():
    with pytest.raises(InputError, match=r"^--config: no file gone.toml; needs a preset \(tiny, fp8, bf16, mxu\) or a"):
        load_config("gone.toml")
    Path("folder.toml").mkdir()
    with pytest.raises(InputError, match=r"^--config: cannot read folder.toml: Is a directory$"):
        load_config("folder.toml")
    Path("binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=r"^--config: binary.toml is not TOML: 'utf-8' codec can't decode"):
        load_config("binary.toml")


def test_neither_a_preset_nor_a_file():
    with pytest.raises(click.BadParameter, match=r"'big' is not one of 'tiny', 'fp8', 'bf16', 'mxu', nor a .toml file"):
        choose("--config", "big")


def test_a_change_that_does_not_fit():
    with pytest.raises(InputError, match=r"^accumulation exact takes e4m3 and e5m2 only"):
        choose("--formats", "bf16")
    with pytest.raises(click.BadParameter, match=r"'x' is not a valid integer"):
        choose("--rows", "x")
