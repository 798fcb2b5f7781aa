"""Turns requests that arrive at any time into a few readings at a time, in order, or into a refusal."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic
from typing import TypeVar

from utils.errors import Overloaded
from utils.web.metrics import Metrics

T = TypeVar("T")


class AdmissionQueue:
    """A bounded queue in front of a few threads that read.

    The readings have threads of their own, and few: what a thread once used it keeps (the memory
    allocator's arenas, OpenCV's and the engine's scratch space), and the server has a thread a request.

    Args:
        readers: radiographs read at the same time.
        waiting: requests that may wait for that.
        seconds: how long one may wait, once it has arrived whole.
        metrics: is told how many are inside, wait and are read.
    """

    def __init__(self, *, readers: int, waiting: int, seconds: float, metrics: Metrics) -> None:
        self.readers = readers
        self.places = readers + waiting
        self._seconds = seconds
        self._metrics = metrics
        self._taken = 0
        self._turns = 0
        self._lock = threading.Lock()
        # Its threads start with the first readings, so never before a fork.
        self._pool = ThreadPoolExecutor(readers, thread_name_prefix="reader")

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one of the places from a request's first byte to its answer.

        It is taken before the upload is read: many slow uploads could hold all the server's threads else,
        those that answer probes among them.

        Raises:
            Overloaded: none is free; nothing was waited for.
        """
        with self._lock:
            if self._taken >= self.places:
                raise Overloaded(
                    "too many radiographs are waiting already; send it again in a few seconds"
                )
            self._taken += 1
        try:
            with self._metrics.places.track_inprogress():
                yield
        finally:
            with self._lock:
                self._taken -= 1

    def alone(self) -> bool:
        """Whether at most one radiograph waits or is read at this moment; for the one that asks, itself.

        An upload that still arrives does not count: it may take a minute, and needs no core for that.
        """
        return self._turns <= 1

    def take(self, read: Callable[[], T]) -> tuple[T, float]:
        """Wait for a turn, use it, and return what was read and the milliseconds waited.

        Args:
            read: runs in another thread, with this one's context.

        Raises:
            Overloaded: no turn came in time; ``read`` was not and will not be called.
        """
        arrived = monotonic()
        context = contextvars.copy_context()

        def work() -> tuple[T, float]:
            waited = monotonic() - arrived
            self._metrics.waiting.dec()
            with self._metrics.reading.track_inprogress():
                return context.run(read), waited * 1000.0

        self._metrics.waiting.inc()
        with self._taking():
            turn: Future[tuple[T, float]] = self._pool.submit(work)
            try:
                return turn.result(self._seconds)
            except TimeoutError:
                # A turn that has begun is no longer cancelled: it is waited for, and its own faults are
                # raised.
                if not turn.cancel():
                    return turn.result()
                self._metrics.waiting.dec()
                raise Overloaded(
                    f"no turn came within {self._seconds:g} s; send it again in a few seconds"
                ) from None

    @contextmanager
    def _taking(self) -> Iterator[None]:
        with self._lock:
            self._turns += 1
        try:
            yield
        finally:
            with self._lock:
                self._turns -= 1
