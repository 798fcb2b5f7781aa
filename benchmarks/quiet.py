"""Waits for a quiet moment of the machine, and measures again what other programs have disturbed."""

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
    """Keeps account of what others do on this machine.

    Args:
        patience: seconds that may be spent waiting and measuring again, in all; after that everything is
            measured as it comes, and the disturbance is told.
        tries: times that one thing is measured at most.
    """

    patience: float = 300.0
    tries: int = 3
    disturbance: list[float] = field(default_factory=list)

    def measure(self, what: Callable[[], T]) -> T:
        """Measure when the machine is quiet, again where it was not; returns the least disturbed."""
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
        """Wait until the others rest, as long as patience lasts."""
        while self.patience > 0:
            before = _others()
            time.sleep(LOOK_SECONDS)
            if (_others() - before) / LOOK_SECONDS <= DISTURBED:
                return
            self.patience -= LOOK_SECONDS


def _others() -> float:
    """Return the CPU seconds of all programs but this one and what it has started."""
    machine = psutil.cpu_times()
    ours = 0.0
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        # What has ended counts with its parent.
        ours += times.user + times.system + times.children_user + times.children_system
    return machine.user + machine.system + getattr(machine, "nice", 0.0) - ours
