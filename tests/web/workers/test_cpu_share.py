"""A worker's share of the cores."""

from __future__ import annotations

import pytest

from utils.web.workers.cpu_share import Share, share_of


@pytest.mark.parametrize(
    ("cores", "workers", "share"),
    [
        (1, 2, Share(threads=1, lone_threads=1, concurrency=2)),
        (2, 1, Share(threads=2, lone_threads=2, concurrency=3)),
        (2, 2, Share(threads=1, lone_threads=2, concurrency=2)),
        (2, 4, Share(threads=1, lone_threads=2, concurrency=2)),
        (16, 4, Share(threads=4, lone_threads=16, concurrency=5)),
        (5, 2, Share(threads=2, lone_threads=5, concurrency=3)),
    ],
)
def test_workers_share_the_cores(cores, workers, share):
    assert share_of(cores, workers) == share


def test_the_operators_choice_wins():
    assert share_of(16, 2, threads=3) == Share(threads=3, lone_threads=3, concurrency=9)
    assert share_of(16, 2, concurrency=1) == Share(threads=8, lone_threads=16, concurrency=1)
    assert share_of(2, 2, threads=4) == Share(threads=4, lone_threads=4, concurrency=2)
