"""Admission queue: order, concurrency, load shedding, context of the request."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.processes import until
from utils.errors import Overloaded
from utils.web.admission import AdmissionQueue
from utils.web.metrics import Metrics


def make_queue(**changes: float) -> AdmissionQueue:
    options = {"concurrency": 1, "waiting": 8, "seconds": 30.0, **changes}
    return AdmissionQueue(metrics=Metrics(), **options)  # type: ignore[arg-type]


def gauge(queue: AdmissionQueue, name: str) -> float:
    (line,) = [
        line for line in queue._metrics.text().decode().splitlines() if line.startswith(f"{name} ")
    ]
    return float(line.split()[1])


def start(queue: AdmissionQueue, work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=queue.run, args=(work,))
    thread.start()
    return thread


@contextmanager
def all_busy(queue: AdmissionQueue) -> Iterator[None]:
    """Keep every prediction thread of a queue busy until the block ends."""
    done = threading.Event()
    threads = [start(queue, lambda: done.wait(30)) for _ in range(queue.concurrency)]
    until(lambda: gauge(queue, "fracture_reading") == len(threads))
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_run_returns_the_result_and_the_wait():
    result, waited = make_queue().run(lambda: "result")
    assert result == "result"
    assert 0 <= waited < 1000


def test_requests_run_in_order_of_arrival():
    queue = make_queue()
    order: list[int] = []
    waiting = []
    with all_busy(queue):
        for number in range(5):
            waiting.append(start(queue, lambda n=number: order.append(n)))
            until(lambda: gauge(queue, "fracture_queue_waiting") == len(waiting))
        assert order == []
    for thread in waiting:
        thread.join()
    assert order == [0, 1, 2, 3, 4]
    assert gauge(queue, "fracture_queue_waiting") == gauge(queue, "fracture_reading") == 0


def test_no_more_run_at_once_than_the_concurrency():
    queue = make_queue(concurrency=2)
    lock = threading.Lock()
    running = 0
    most = 0

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1

    for thread in [start(queue, work) for _ in range(8)]:
        thread.join()
    assert most == 2


def test_slots_are_concurrency_plus_waiting():
    queue = make_queue(concurrency=1, waiting=1)
    with queue.slot(), queue.slot():
        began = time.monotonic()
        with pytest.raises(Overloaded), queue.slot():
            pass
        assert time.monotonic() - began < 1
    with queue.slot():
        pass


def test_a_request_that_waits_too_long_never_runs():
    queue = make_queue(seconds=0.1)
    finished: list[str] = []
    with all_busy(queue):
        with pytest.raises(Overloaded, match="within 0.1 s"):
            queue.run(lambda: finished.append("late"))
        assert gauge(queue, "fracture_queue_waiting") == 0
    queue.run(lambda: finished.append("in time"))
    assert finished == ["in time"]
    assert gauge(queue, "fracture_queue_waiting") == 0


def test_a_lone_request_is_alone():
    queue = make_queue(concurrency=2)
    assert queue.run(queue.is_alone)[0]
    with queue.slot(), queue.slot():
        assert queue.run(queue.is_alone)[0], "uploads that arrive need no core"


def test_two_that_run_together_are_not_alone():
    queue = make_queue(concurrency=2)
    both_inside, alone = threading.Barrier(2, timeout=10), []

    def work() -> None:
        both_inside.wait()
        alone.append(queue.is_alone())
        both_inside.wait()  # Both have looked before either ends.

    for thread in [start(queue, work) for _ in range(2)]:
        thread.join()
    assert alone == [False, False]
    assert queue.run(queue.is_alone)[0]


def test_nobody_is_alone_while_another_waits():
    queue = make_queue()
    begun, looked = threading.Event(), threading.Event()
    alone: list[bool] = []

    def work() -> None:
        begun.set()
        until(lambda: gauge(queue, "fracture_queue_waiting") == 1)
        alone.append(queue.is_alone())
        looked.set()

    first = start(queue, work)
    assert begun.wait(10)
    assert queue.run(looked.is_set)[0]
    first.join()
    assert alone == [False]


def test_failed_requests_no_longer_count():
    queue = make_queue(seconds=0.1)
    with all_busy(queue), pytest.raises(Overloaded):
        queue.run(lambda: None)
    with pytest.raises(ZeroDivisionError):
        queue.run(lambda: 1 / 0)
    assert queue._submitted == 0
    assert queue.run(queue.is_alone)[0]


def test_the_wait_does_not_bound_the_work_itself():
    assert make_queue(seconds=0.1).run(lambda: time.sleep(0.3) or "done")[0] == "done"


@pytest.mark.parametrize("kind", [ValueError, TimeoutError])
def test_an_error_of_the_work_is_raised(kind):
    queue = make_queue()

    def fail() -> None:
        raise kind("of the file")

    with pytest.raises(kind, match="of the file"):
        queue.run(fail)
    assert queue.run(lambda: 1)[0] == 1
    assert gauge(queue, "fracture_reading") == 0


def test_the_work_has_the_context_of_its_request():
    request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id")
    request_id.set("abc")
    assert make_queue().run(request_id.get)[0] == "abc"
