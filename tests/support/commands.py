"""Root scripts run in this process, as the command line runs them but without the start-up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest

from utils import cli as command_line


class Answer(NamedTuple):
    """Exit code, standard output and standard error of a command."""

    code: int
    output: str
    errors: str


def run_command(
    capsys: pytest.CaptureFixture[str],
    main: Callable[[Sequence[str] | None], int],
    arguments: Sequence[str],
) -> Answer:
    """Run a command's ``main`` with these arguments."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        command_line.run(lambda: main(arguments))
    output, errors = capsys.readouterr()
    return Answer(int(stopped.value.code or 0), output, errors)
