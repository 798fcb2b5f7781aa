"""A request's body has time limits and is read to its end, so that a client sees the answer."""

from __future__ import annotations

import gc
import io
import socket
import threading
import time
import weakref
from contextlib import suppress

import pytest
from werkzeug.exceptions import RequestTimeout

from utils.web.middleware import body as middleware
from utils.web.middleware.body import PROGRESS, Body, BodyGuard, Deadlines


def guarded(app: object, **bounds: float) -> BodyGuard:
    return BodyGuard(app, **{"seconds": 5, "drain_limit": 1000, **bounds})  # type: ignore[arg-type]


def ignore(environ, start_response):
    start_response("200 OK", [])
    return [b"done"]


def call(guard: BodyGuard, **environ: object) -> list[bytes]:
    """Do with the answer what a server does: send it, then close it."""
    answer = guard(environ, lambda status, headers: lambda piece: None)  # type: ignore[arg-type]
    sent = list(answer)
    if hasattr(answer, "close"):
        answer.close()
    return sent


def test_an_unread_body_is_drained():
    stream = io.BytesIO(bytes(500) + b"next request")
    answer = call(guarded(ignore), CONTENT_LENGTH="500", **{"wsgi.input": stream})
    assert answer == [b"done"]
    assert stream.read() == b"next request"


def test_a_chunked_body_is_drained():
    stream = io.BytesIO(bytes(500))
    call(guarded(ignore), HTTP_TRANSFER_ENCODING="chunked", **{"wsgi.input": stream})
    assert stream.tell() == 500


def test_draining_has_a_limit():
    stream = io.BytesIO(bytes(5000))
    call(guarded(ignore), CONTENT_LENGTH="5000", **{"wsgi.input": stream})
    assert stream.tell() == 1000


def test_a_request_without_a_body_is_passed_on():
    class Untouchable:
        def read(self, size: int = -1) -> bytes:
            raise AssertionError("read")

    assert call(guarded(ignore), **{"wsgi.input": Untouchable()}) == [b"done"]


def test_the_app_reads_the_body_through_the_guard():
    def echo(environ, start_response):
        start_response("200 OK", [])
        return [environ["wsgi.input"].readline(), environ["wsgi.input"].read()]

    stream = io.BytesIO(b"one\ntwo\nthree")
    answer = call(guarded(echo), CONTENT_LENGTH="13", **{"wsgi.input": stream})
    assert answer == [b"one\n", b"two\nthree"]


def test_a_client_that_stops_sending_is_cut_off():
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb", buffering=0) as stream:
        theirs.sendall(b"half")
        body = Body(stream, ours, deadlines=Deadlines(), seconds=0.2, total=9, declared=8)  # type: ignore[arg-type]
        assert body.read(8) == b"half"
        began = time.monotonic()
        with pytest.raises(RequestTimeout):
            body.read(8)
        assert time.monotonic() - began < 2


def trickle(seconds: float, total: float, pieces: list[bytes]) -> bytes:
    """Send pieces a tenth of a second apart, and read them through a body."""
    ours, theirs = socket.socketpair()

    def feed() -> None:
        for piece in pieces:
            time.sleep(0.1)
            with suppress(OSError):
                theirs.sendall(piece)

    with ours, theirs, ours.makefile("rb") as stream:
        sender = threading.Thread(target=feed)
        sender.start()
        size = sum(map(len, pieces))
        limits = {"deadlines": Deadlines(), "seconds": seconds, "total": total}
        body = Body(stream, ours, declared=size, **limits)  # type: ignore[arg-type]
        try:
            return io.BufferedReader(body).read(size)
        finally:
            sender.join()


def test_a_slow_line_that_sends_is_waited_for():
    pieces = [bytes([number]) * PROGRESS for number in range(6)]
    assert trickle(0.3, 9, pieces) == b"".join(pieces)


def test_a_trickle_is_cut_off():
    with pytest.raises(RequestTimeout):
        trickle(0.3, 9, [b"x"] * 6)


def test_a_slow_line_has_a_limit_in_all():
    with pytest.raises(RequestTimeout):
        trickle(0.3, 0.35, [bytes(PROGRESS)] * 6)


def test_the_clock_stops_at_the_end_of_the_body():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        body = Body(
            io.BytesIO(b"whole"), ours, deadlines=Deadlines(), seconds=0.1, total=9, declared=5
        )
        body.read(5)
        time.sleep(0.3)
        # The next request on the same connection still arrives.
        theirs.sendall(b"GET")
        assert ours.recv(3) == b"GET"


def silent_body(ours: socket.socket, deadlines: Deadlines) -> Body:
    """A body of 8 bytes, of which none need ever arrive."""
    stream = ours.makefile("rb", buffering=0)
    return Body(stream, ours, deadlines=deadlines, seconds=0.2, total=9, declared=8)  # type: ignore[arg-type]


def test_one_thread_watches_all_bodies():
    deadlines = Deadlines()
    before = threading.active_count()
    pairs = [socket.socketpair() for _ in range(5)]
    ended = []
    for ours, _ in pairs:
        body = silent_body(ours, deadlines)
        began = time.monotonic()
        time.sleep(0.05)
        ended.append((body, began))
    assert threading.active_count() == before + 1
    for body, began in ended:
        with pytest.raises(RequestTimeout):
            body.read(8)
        assert 0.15 < time.monotonic() - began < 2
    # It still watches after a time without a body.
    ours, theirs = socket.socketpair()
    late = silent_body(ours, deadlines)
    with pytest.raises(RequestTimeout):
        late.read(8)
    for pair in (*pairs, (ours, theirs)):
        for end in pair:
            end.close()


def test_the_response_is_sent_before_draining():
    stream = io.BytesIO(bytes(500))
    answer = guarded(ignore)(
        {"CONTENT_LENGTH": "500", "wsgi.input": stream},  # type: ignore[arg-type]
        lambda status, headers: lambda piece: None,
    )
    assert next(iter(answer)) == b"done"
    assert stream.tell() == 0
    answer.close()  # type: ignore[attr-defined]
    assert stream.tell() == 500


def test_draining_after_a_503_is_short(monkeypatch):
    monkeypatch.setattr(middleware, "OVERLOAD_DRAIN_SECONDS", 0.3)

    def refuse(environ, start_response):
        start_response("503 SERVICE UNAVAILABLE", [])
        return [b"later"]

    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb", buffering=0) as stream:
        theirs.sendall(b"half")
        began = time.monotonic()
        answer = call(
            guarded(refuse, seconds=60),
            CONTENT_LENGTH="8",
            **{"wsgi.input": stream, "gunicorn.socket": ours},
        )
        assert answer == [b"later"]
        assert time.monotonic() - began < 2


def test_a_finished_body_is_not_kept():
    body = Body(io.BytesIO(b"whole"), None, deadlines=Deadlines(), seconds=60, total=60, declared=5)
    time.sleep(0.1)  # The watch has begun to wait for its end.
    body.stop()
    left = weakref.ref(body)
    del body
    gc.collect()
    assert left() is None
