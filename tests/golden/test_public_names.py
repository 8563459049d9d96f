"""What users import from ``golden`` itself, and that none of it is loaded before it is used."""

import subprocess
import sys
from pathlib import Path

import pytest

import golden

ROOT = Path(__file__).resolve().parents[2]
NAMES = """
    PRESETS EngineConfig KVCache TensorEngine assemble attend attention attention_reference check_races decode
    dequantize encode error_report execute exp gemm gemm_cycles gemm_stimulus losses quantize reciprocal rsqrt
    utilization
""".split()


def fresh(code: str) -> list[str]:
    """The words that a new interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


def test_every_name_is_the_one_of_its_module():
    assert golden.__all__ == sorted(NAMES)
    for name in NAMES:
        value = getattr(golden, name)
        assert value is getattr(sys.modules[golden._MODULES[name]], name)


def test_dir_lists_them_before_they_are_loaded():
    assert set(NAMES) <= set(fresh("import golden; print(*dir(golden))"))


def test_importing_the_package_loads_nothing_else():
    loaded = fresh("import sys; before = set(sys.modules); import golden; print(*set(sys.modules) - before)")
    assert loaded == ["golden"]


def test_a_configuration_needs_no_numpy():
    loaded = fresh("import sys; from golden import PRESETS, EngineConfig; print(*sys.modules)")
    assert not {"numpy", "numba"} & set(loaded)


def test_the_example_of_the_readme_runs():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code = text.partition("```python\n")[2].partition("```")[0]
    assert "from golden import " in code
    assert fresh(code)


def test_a_name_is_the_same_after_its_module_is_imported():
    """Importing a submodule sets an attribute of its package."""
    code = "import golden.numerics.gemm, golden.numerics.attention; from golden import gemm, attention; "
    assert fresh(code + "print(callable(gemm), callable(attention))") == ["True", "True"]


def test_other_names_are_refused():
    with pytest.raises(AttributeError, match="module 'golden' has no attribute 'gem'"):
        golden.gem  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'gem'"):
        from golden import gem  # noqa: F401
