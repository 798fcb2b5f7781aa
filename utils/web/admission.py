"""Admission queue: bounds how many requests wait and how many predictions run at once."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import monotonic
from typing import TypeVar

from utils.errors import Overloaded
from utils.web.metrics import Metrics

T = TypeVar("T")


class AdmissionQueue:
    """A bounded queue in front of a few prediction threads; sheds load beyond that.

    Predictions have few threads of their own: what a thread once used it keeps (the memory allocator's
    arenas, OpenCV's and the engine's scratch space), and the server has a thread a request.

    Args:
        concurrency: predictions at the same time.
        waiting: requests that may wait beyond those.
        seconds: longest wait, once a request has arrived whole.
    """

    def __init__(self, *, concurrency: int, waiting: int, seconds: float, metrics: Metrics) -> None:
        self.concurrency = concurrency
        self._slots = threading.BoundedSemaphore(concurrency + waiting)
        self._seconds = seconds
        self._metrics = metrics
        self._submitted = 0
        self._lock = threading.Lock()
        # Its threads start with the first predictions, so never before a fork.
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="predictor")

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the slots from a request's first byte to its response.

        It is taken before the upload is read: many slow uploads could hold all the server's threads
        otherwise, those that answer probes among them.

        Raises:
            Overloaded: none is free; raised at once.
        """
        if not self._slots.acquire(blocking=False):
            raise Overloaded("web.queue_full")
        try:
            with self._metrics.slots_taken.track_inprogress():
                yield
        finally:
            self._slots.release()

    def is_alone(self) -> bool:
        """Whether at most one request waits or is computed at this moment, the caller's own included.

        An upload that still arrives does not count: it may take a minute, and needs no core for that.
        """
        return self._submitted <= 1

    def run(self, work: Callable[[], T]) -> tuple[T, float]:
        """Run ``work`` in a prediction thread once one is free, with this thread's context variables.

        Returns:
            Its result, and the milliseconds waited.

        Raises:
            Overloaded: no thread came free in time; ``work`` was not and will not be called.
        """
        arrived = monotonic()
        context = contextvars.copy_context()

        def run_now() -> tuple[T, float]:
            waited = monotonic() - arrived
            self._metrics.waiting.dec()
            with self._metrics.running.track_inprogress():
                return context.run(work), waited * 1000.0

        with self._lock:
            self._submitted += 1
        self._metrics.waiting.inc()
        try:
            future = self._pool.submit(run_now)
            try:
                return future.result(self._seconds)
            except TimeoutError:
                # Work that has begun cannot be cancelled: it is waited for, and its own errors are raised.
                if not future.cancel():
                    return future.result()
                self._metrics.waiting.dec()
                raise Overloaded("web.queue_timeout", seconds=self._seconds) from None
        finally:
            with self._lock:
                self._submitted -= 1
