"""A worker's share of the cores: threads of a forward pass, concurrent radiographs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """What one worker process may use.

    Args:
        threads, lone_threads: of one forward pass; the latter while the worker has nothing else to do.
        concurrency: predictions at the same time.
    """

    threads: int
    lone_threads: int
    concurrency: int


def share_of(cores: int, workers: int, *, threads: int = 0, concurrency: int = 0) -> Share:
    """Return the share of one of ``workers`` equal processes.

    Together they compute with one thread a core where they can: more would hinder each other. A
    radiograph that is alone in its worker may use all cores: the other workers are mostly idle then.
    One prediction more is under way than a worker has cores, so that one radiograph is decoded or drawn
    while another is in the network.

    Args:
        cores: usable by all workers together.
        workers: processes that share them.
        threads: the operator's choice, for a lone radiograph too; 0 leaves it to this function.
        concurrency: likewise.
    """
    own = max(1, cores // workers)
    return Share(threads or own, threads or cores, concurrency or own + 1)
