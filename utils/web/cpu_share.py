"""Turns the machine's cores and the number of worker processes into one worker's share of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """What one worker process may use.

    Args:
        threads: that compute one forward pass.
        lone_threads: that compute one while nothing else is under way in this worker.
        concurrency: radiographs that this worker reads at the same time.
    """

    threads: int
    lone_threads: int
    concurrency: int


def share_of(cores: int, workers: int, *, threads: int = 0, concurrency: int = 0) -> Share:
    """Give one of ``workers`` equal processes its part.

    The workers together compute with as many threads as there are cores, where there are enough: more would
    hinder each other. A radiograph that is alone in its worker may use all cores all the same: the other
    workers are mostly idle then, and where they are not, the system shares the cores out. One radiograph
    more is read than a worker has cores, so that one is decoded or drawn while another is in the network.

    Args:
        cores: that all workers together may use.
        workers: processes that share them.
        threads: the operator's choice, for a lone radiograph too; 0 leaves it to this function.
        concurrency: likewise.
    """
    own = max(1, cores // workers)
    return Share(threads or own, threads or cores, concurrency or own + 1)
