"""Commands: exit codes, and faults as one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.support.commands import run_command
from tests.support.processes import ROOT
from utils.cli import Parser
from utils.errors import BundleError, DatasetError, FractureError


def raising(error: BaseException) -> Callable[[object], int]:
    """A command that meets this fault."""

    def main(_: object) -> int:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (DatasetError("no\n  images"), 2, "no images"),
        (BundleError("damaged"), 3, "damaged"),
        (FractureError("anything"), 3, "anything"),
        (OSError(28, "No space left on device"), 3, "No space left"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_a_fault_is_one_line_and_an_exit_code(
    error: BaseException, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = run_command(capsys, raising(error), [])
    assert answer.code == code
    assert answer.output == ""
    (line,) = answer.errors.splitlines()
    assert words in line


def test_a_command_that_is_done_leaves_zero(capsys: pytest.CaptureFixture[str]) -> None:
    def main(_: object) -> int:
        sys.stdout.write("done\n")
        return 0

    assert run_command(capsys, main, []) == (0, "done\n", "")


def test_a_bug_is_not_dressed_up_as_a_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(capsys, raising(ZeroDivisionError()), [])


def test_a_wrong_flag_is_one_line_and_the_inputs_code(capsys: pytest.CaptureFixture[str]) -> None:
    def main(arguments: object) -> int:
        Parser("nothing").parse_args(["--odd"])
        return 0

    answer = run_command(capsys, main, [])
    assert answer.code == 2
    assert "--odd (see --help)" in answer.errors
    assert len(answer.errors.splitlines()) == 1


def test_what_an_interrupt_left_half_made_does_not_complain() -> None:
    code = (
        "from utils.cli import run\n"
        "class Half:\n"
        "    def __del__(self): self.missing\n"
        "def command():\n"
        "    half = Half()\n"
        "    raise KeyboardInterrupt\n"
        "run(command)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 130
    assert done.stderr == "-c: interrupted\n"
