"""A worker counts the cores it may use, not those of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from utils.inference import cores

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def quota(tmp_path, monkeypatch):
    """Write the files of a control group, as the kernel lays them out."""

    def write(new: str | None = None, old: tuple[str, str] | None = None) -> None:
        for name in ("_QUOTA", "_OLD_QUOTA", "_OLD_PERIOD"):
            monkeypatch.setattr(cores, name, tmp_path / name)
        if new is not None:
            (tmp_path / "_QUOTA").write_text(new)
        if old is not None:
            (tmp_path / "_OLD_QUOTA").write_text(old[0])
            (tmp_path / "_OLD_PERIOD").write_text(old[1])

    return write


@pytest.fixture
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.parametrize(
    "text, count",
    [
        ("max 100000\n", 8),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("20000 100000\n", 1),
        ("9900000 100000\n", 8),
        ("nonsense\n", 8),
    ],
)
def test_a_containers_quota_bounds_the_cores(quota, eight_cores, text, count):
    quota(text)
    assert cores.usable_cores() == count


@pytest.mark.parametrize("files, count", [(("300000\n", "100000\n"), 3), (("-1\n", "100000\n"), 8)])
def test_the_older_kind_of_quota_is_read_too(quota, eight_cores, files, count):
    quota(old=files)
    assert cores.usable_cores() == count


def test_without_a_quota_affinity_decides(quota, eight_cores):
    quota()
    assert cores.usable_cores() == 8


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process")
def test_a_process_bound_to_one_core_counts_one():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from utils.inference.cores import usable_cores; print(usable_cores())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"
