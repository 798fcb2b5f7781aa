"""Runs a root script's ``main`` as the command line would, in this process and so without its start-up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest

from utils import cli as command_line


class Answer(NamedTuple):
    """What a command left: exit code, standard output and standard error."""

    code: int
    output: str
    errors: str


def run_command(
    capsys: pytest.CaptureFixture[str],
    main: Callable[[Sequence[str] | None], int],
    arguments: Sequence[str],
) -> Answer:
    """Run a command and return what it left."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        command_line.run(lambda: main(arguments))
    output, errors = capsys.readouterr()
    return Answer(int(stopped.value.code or 0), output, errors)
