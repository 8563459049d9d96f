"""What tests of several commands use."""

import sys

import pytest

from scripts import cli


@pytest.fixture
def run(monkeypatch, capsys):
    """The console script within this process: exit code, standard output, standard error."""

    def invoke(*arguments):
        monkeypatch.setattr(sys, "argv", ["systolith", *arguments])
        with pytest.raises(SystemExit) as done:
            cli.main()
        return done.value.code, *capsys.readouterr()

    return invoke
