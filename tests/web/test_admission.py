"""Requests that arrive together are read a few at a time, in order, or refused."""

from __future__ import annotations

import contextvars
import threading
import time

import pytest

from tests.support.processes import until
from utils.errors import Overloaded
from utils.web.admission import AdmissionQueue
from utils.web.metrics import Metrics


def turns(**changes: float) -> AdmissionQueue:
    chosen = {"readers": 1, "waiting": 8, "seconds": 30.0, **changes}
    return AdmissionQueue(metrics=Metrics(), **chosen)  # type: ignore[arg-type]


def gauge(asked: AdmissionQueue, name: str) -> float:
    (line,) = [
        line
        for line in asked._metrics.text()[0].decode().splitlines()
        if line.startswith(f"{name} ")
    ]
    return float(line.split()[1])


class Busy:
    """Keeps every reader of some turns busy until the block ends."""

    def __init__(self, asked: AdmissionQueue) -> None:
        self.asked = asked
        self.done = threading.Event()
        self.threads = [
            threading.Thread(target=asked.take, args=(lambda: self.done.wait(30),))
            for _ in range(asked.readers)
        ]

    def __enter__(self) -> Busy:
        for thread in self.threads:
            thread.start()
        until(lambda: gauge(self.asked, "fracture_reading") == len(self.threads))
        return self

    def __exit__(self, *fault: object) -> None:
        self.done.set()
        for thread in self.threads:
            thread.join()


def test_a_turn_returns_what_was_read_and_the_wait():
    result, waited = turns().take(lambda: "read")
    assert result == "read"
    assert 0 <= waited < 1000


def test_those_who_wait_are_read_in_the_order_of_their_arrival():
    asked = turns()
    order: list[int] = []
    waiting = []
    with Busy(asked):
        for number in range(5):
            thread = threading.Thread(target=asked.take, args=(lambda n=number: order.append(n),))
            thread.start()
            waiting.append(thread)
            until(lambda: gauge(asked, "fracture_queue_waiting") == len(waiting))
        assert order == []
    for thread in waiting:
        thread.join()
    assert order == [0, 1, 2, 3, 4]
    assert gauge(asked, "fracture_queue_waiting") == gauge(asked, "fracture_reading") == 0


def test_never_more_are_read_at_once_than_there_are_readers():
    asked = turns(readers=2)
    lock = threading.Lock()
    inside = 0
    most = 0

    def read() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.02)
        with lock:
            inside -= 1

    threads = [threading.Thread(target=asked.take, args=(read,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2


def test_there_are_as_many_places_as_readers_and_waiting_and_no_more():
    asked = turns(readers=1, waiting=1)
    with asked.place(), asked.place():
        began = time.monotonic()
        with pytest.raises(Overloaded), asked.place():
            pass
        assert time.monotonic() - began < 1
    with asked.place():
        pass


def test_who_gets_no_turn_in_time_is_refused_and_never_read():
    asked = turns(seconds=0.1)
    read: list[str] = []
    with Busy(asked):
        with pytest.raises(Overloaded, match="within 0.1 s"):
            asked.take(lambda: read.append("late"))
        assert gauge(asked, "fracture_queue_waiting") == 0
    asked.take(lambda: read.append("in time"))
    assert read == ["in time"]
    assert gauge(asked, "fracture_queue_waiting") == 0


def test_a_turn_knows_whether_it_is_alone():
    asked = turns(readers=2)
    assert asked.take(asked.alone)[0]
    with asked.place(), asked.place():
        assert asked.take(asked.alone)[0], "uploads that arrive need no core"
    inside, both = threading.Barrier(2, timeout=10), []

    def read() -> bool:
        inside.wait()
        found = asked.alone()
        inside.wait()  # Both have looked before either ends.
        return found

    threads = [threading.Thread(target=lambda: both.append(asked.take(read)[0])) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert both == [False, False]
    assert asked.take(asked.alone)[0]


def test_who_is_read_while_another_waits_is_not_alone():
    asked = turns()
    begun, looked = threading.Event(), threading.Event()
    found: list[bool] = []

    def read() -> None:
        begun.set()
        until(lambda: gauge(asked, "fracture_queue_waiting") == 1)
        found.append(asked.alone())
        looked.set()

    first = threading.Thread(target=asked.take, args=(read,))
    first.start()
    assert begun.wait(10)
    assert asked.take(looked.is_set)[0]
    first.join()
    assert found == [False]


def test_who_was_refused_or_failed_counts_no_longer():
    asked = turns(seconds=0.1)
    with Busy(asked), pytest.raises(Overloaded):
        asked.take(lambda: None)
    with pytest.raises(ZeroDivisionError):
        asked.take(lambda: 1 / 0)
    assert asked._turns == 0
    assert asked.take(asked.alone)[0]


def test_a_reading_that_has_begun_is_not_bounded_by_the_wait():
    assert turns(seconds=0.1).take(lambda: time.sleep(0.3) or "done")[0] == "done"


@pytest.mark.parametrize("kind", [ValueError, TimeoutError])
def test_a_fault_of_the_reading_is_raised_and_frees_the_turn(kind):
    asked = turns()

    def fail() -> None:
        raise kind("of the file")

    with pytest.raises(kind, match="of the file"):
        asked.take(fail)
    assert asked.take(lambda: 1)[0] == 1
    assert gauge(asked, "fracture_reading") == 0


def test_a_reading_sees_the_context_of_its_request():
    request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id")
    request_id.set("abc")
    assert turns().take(request_id.get)[0] == "abc"
