"""tests.support.processes: no program outlives the block that started it."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.support.processes import running

SLEEP = "import time; time.sleep(600)"
DEAF = (
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); "
    + SLEEP
)


def test_a_program_does_not_outlive_a_block_that_fails():
    started = []

    def fail() -> None:
        with running([sys.executable, "-c", SLEEP]) as process:
            started.append(process)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert started[0].returncode == -signal.SIGTERM


def test_a_program_that_does_not_listen_is_killed():
    command = [sys.executable, "-c", DEAF]
    with running(command, seconds=0.2, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
    assert process.returncode == -signal.SIGKILL


def test_a_program_that_has_ended_keeps_its_exit_code():
    with running([sys.executable, "-c", "raise SystemExit(3)"]) as process:
        process.wait(30)
    assert process.returncode == 3
