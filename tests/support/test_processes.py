"""Child processes of tests: none outlives its block, and Ctrl-C reaches each."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.support.processes import running

SLEEP = "import time; time.sleep(600)"
IGNORES_SIGTERM = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); "
    + SLEEP
)


def test_a_program_ends_with_a_block_that_fails():
    started = []

    def fail() -> None:
        with running([sys.executable, "-c", SLEEP]) as process:
            started.append(process)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert started[0].returncode == -signal.SIGTERM


def test_a_program_that_ignores_sigterm_is_killed():
    command = [sys.executable, "-c", IGNORES_SIGTERM]
    with running(command, seconds=0.2, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
    assert process.returncode == -signal.SIGKILL


def test_an_ended_program_keeps_its_exit_code():
    with running([sys.executable, "-c", "raise SystemExit(3)"]) as process:
        process.wait(30)
    assert process.returncode == 3


def test_ctrl_c_reaches_the_child_of_a_background_run():
    # As in `nohup make test &`: the shell starts background jobs with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = "print('ready', flush=True); " + SLEEP
        with running(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            process.wait(10)
    finally:
        signal.signal(signal.SIGINT, before)
    assert process.returncode == -signal.SIGINT
