"""Measurements on an idle machine, repeated where other programs disturbed them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import psutil

from benchmarks.machine import DISTURBED

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_SECONDS = 1.0


@dataclass
class Quiet:
    """Repeats disturbed measurements and records the CPU use of other programs.

    Args:
        patience: seconds for waiting and repetitions, in all; after that nothing is repeated, and the
            disturbance is recorded.
        tries: repetitions of one measurement at most.
    """

    patience: float = 300.0
    tries: int = 3
    disturbance: list[float] = field(default_factory=list)

    def measure(self, what: Callable[[], T]) -> T:
        """Measure on an idle machine, again where it was not; return the least disturbed."""
        best: tuple[float, T] | None = None
        for _ in range(self.tries):
            self._wait()
            began, before = time.monotonic(), _others()
            made = what()
            spent = time.monotonic() - began
            others = max(0.0, _others() - before) / spent
            if best is None or others < best[0]:
                best = (others, made)
            if others <= DISTURBED or self.patience <= 0:
                break
            self.patience -= spent
            log.info("other programs used %.2f cores meanwhile: measured again", others)
        assert best is not None
        self.disturbance.append(round(best[0], 3))
        return best[1]

    def _wait(self) -> None:
        """Wait until other programs are idle, as long as patience lasts."""
        while self.patience > 0:
            before = _others()
            time.sleep(LOOK_SECONDS)
            if (_others() - before) / LOOK_SECONDS <= DISTURBED:
                return
            self.patience -= LOOK_SECONDS


def _others() -> float:
    """Return the CPU seconds of all programs but this one and its children."""
    machine = psutil.cpu_times()
    ours = 0.0
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        # Ended children count with their parent.
        ours += times.user + times.system + times.children_user + times.children_system
    return machine.user + machine.system + getattr(machine, "nice", 0.0) - ours
