"""The pictures of docs/."""

import pytest
from click.testing import CliRunner

from scripts.flows.pictures import array, program, waves
from scripts.ground.pages import DOCS


def test_the_array_is_drawn_as_in_docs(tmp_path):
    """After a change of the cycle model, or of matplotlib's version: ``make pictures``."""
    drawn = array.draw(tmp_path)
    assert [path.name for path in drawn] == ["array.svg", "timing.svg"]
    for path in drawn:
        assert path.read_bytes() == (DOCS / path.name).read_bytes(), path.name


def test_the_program_is_drawn_as_in_docs(tmp_path):
    assert program.draw(tmp_path).read_bytes() == (DOCS / "program.svg").read_bytes()


@pytest.mark.parametrize("content", [None, b"no waveform"])
def test_waves_of_a_folder_without_any(tmp_path, content):
    if content is not None:
        (tmp_path / "waves.fst").write_bytes(content)
    done = CliRunner().invoke(waves.main, [str(tmp_path), str(tmp_path / "out.svg")])
    assert done.exit_code == 2 and "waves.fst: not a waveform; needs a folder that a divergence left" in done.output
    assert not (tmp_path / "out.svg").exists()
