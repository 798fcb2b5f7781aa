"""Command lines: exit codes, and errors as one line."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.support.commands import run_command
from tests.support.processes import ROOT
from utils.cli import Parser, share, whole_number
from utils.errors import BundleError, FractureError, UnknownName


def raising(error: BaseException) -> Callable[[object], int]:
    """A command that raises this error."""

    def main(_: object) -> int:
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (
            UnknownName("base.unknown_name", kind="two\n  lines", name="a", choices="b"),
            2,
            "two lines",
        ),
        (BundleError("base.no_regular_file"), 3, "a pipe or a device"),
        (FractureError("base.no_regular_file"), 3, "a pipe or a device"),
        (OSError(28, "No space left on device"), 3, "No space left"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    error: BaseException, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = run_command(capsys, raising(error), [])
    assert answer.code == code
    assert answer.output == ""
    (line,) = answer.errors.splitlines()
    assert words in line


def test_a_command_that_ends_well_exits_with_zero(capsys: pytest.CaptureFixture[str]) -> None:
    def main(_: object) -> int:
        sys.stdout.write("done\n")
        return 0

    assert run_command(capsys, main, []) == (0, "done\n", "")


def test_a_bug_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(capsys, raising(ZeroDivisionError()), [])


def test_a_wrong_flag_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def main(arguments: object) -> int:
        Parser("nothing").parse_args(["--odd"])
        return 0

    answer = run_command(capsys, main, [])
    assert answer.code == 2
    assert "--odd (see --help)" in answer.errors
    assert len(answer.errors.splitlines()) == 1


def test_an_interrupt_silences_destructors() -> None:
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


@pytest.mark.parametrize("text", ["0", "-3", "1.5", "many", "", "²", str(2**31)])
def test_a_whole_number_has_bounds(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="whole number of at least 1"):
        whole_number(1)(text)


def test_a_whole_number_is_converted() -> None:
    assert whole_number(3)("3") == 3


@pytest.mark.parametrize("text", ["0", "1", "-0.1", "nan", "half"])
def test_a_share_lies_between_0_and_1(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="above 0 and below 1"):
        share(text)


def test_a_share_is_converted() -> None:
    assert share("0.25") == 0.25


def test_dataset_flags_name_the_layouts(capsys: pytest.CaptureFixture[str]) -> None:
    parser = Parser("nothing")
    parser.add_dataset(["mura", "folder"])
    chosen = parser.parse_args(["--region", "hand", "wrist"])
    assert (str(chosen.data), chosen.dataset, chosen.region) == ("data", "auto", ["hand", "wrist"])
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    assert "auto, mura, folder" in capsys.readouterr().out
