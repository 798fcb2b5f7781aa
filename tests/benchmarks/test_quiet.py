"""Repetition of measurements that other programs disturb."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from benchmarks import quiet
from benchmarks.machine import DISTURBED
from benchmarks.quiet import Quiet

HALF_A_SECOND = "import time\nwhile time.process_time() < 0.5: pass"


@pytest.fixture
def other_programs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """CPU seconds of other programs, one for each look at them; the last one lasts."""
    seconds = [0.0]
    monkeypatch.setattr(quiet, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(quiet, "_others", lambda: seconds.pop(0) if seconds[1:] else seconds[0])
    return seconds


def numbered(calls: list[int]) -> int:
    calls.append(len(calls) + 1)
    return calls[-1]


def test_an_undisturbed_measurement_is_made_once(other_programs):
    calls: list[int] = []
    assert Quiet().measure(lambda: numbered(calls)) == 1
    assert calls == [1]


def test_the_least_disturbed_measurement_counts(other_programs):
    # Two looks while it waits, then one before and one after each measurement.
    other_programs[:] = [0, 0, 0, 1e6, 1e6, 1e6, 1e6, 1e6 + 1, 1e6 + 1, 1e6 + 1, 1e6 + 1, 2e6]
    calls: list[int] = []
    measure = Quiet(patience=60.0, tries=3)
    assert measure.measure(lambda: numbered(calls)) == 2
    assert calls == [1, 2, 3]
    assert measure.disturbance[0] > DISTURBED


def test_a_repetition_ends_with_an_undisturbed_one(other_programs):
    other_programs[:] = [0, 0, 0, 50, 50, 50, 50, 50]
    calls: list[int] = []
    measure = Quiet(patience=60.0, tries=3)
    assert measure.measure(lambda: numbered(calls)) == 2
    assert measure.disturbance == [0.0]


def test_without_patience_nothing_is_repeated(other_programs):
    other_programs[:] = [0, 50]
    calls: list[int] = []
    assert Quiet(patience=0.0).measure(lambda: numbered(calls)) == 1
    assert calls == [1]


@pytest.mark.slow
def test_our_own_children_are_no_disturbance():
    machine, others = psutil.cpu_times(), quiet._others()
    subprocess.run([sys.executable, "-c", HALF_A_SECOND], check=True)
    others, after = quiet._others() - others, psutil.cpu_times()
    everything = after.user + after.system - machine.user - machine.system
    assert everything - others > 0.4
