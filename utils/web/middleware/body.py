"""Deadline of a request's body, and draining of what the app leaves unread.

Gunicorn has neither: its ``timeout`` watches the worker, not the request, so that one byte a minute would
hold a thread for days; and it drains a body only where the connection is kept, so that a client that is
still sending after a 413 would see a reset instead of the response.
"""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterable
from contextlib import suppress
from math import inf
from time import monotonic
from typing import IO, TYPE_CHECKING, Any

from werkzeug.exceptions import BadRequest, RequestTimeout
from werkzeug.wsgi import ClosingIterator

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DRAIN_SECONDS = 10.0
# After a 503: a server that sheds load gives a slow client less of its threads' time.
OVERLOAD_DRAIN_SECONDS = 2.0
STEP = 2**16


class Deadlines:
    """One thread that ends the bodies whose deadline has passed; it sleeps until the earliest of them."""

    def __init__(self) -> None:
        self._deadlines: dict[Body, float] = {}
        self._wakes = inf
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, body: Body, seconds: float) -> float:
        """Watch a body from now on, and return its deadline."""
        with self._changed:
            deadline = self._deadlines[body] = monotonic() + seconds
            if self._thread is None:  # Not earlier: a thread does not survive gunicorn's fork.
                self._thread = threading.Thread(target=self._run, name="bodies", daemon=True)
                self._thread.start()
            elif deadline < self._wakes:
                self._changed.notify()
            return deadline

    def discard(self, body: Body) -> None:
        """Stop watching a body; once this returns, its connection is left alone."""
        with self._changed:
            self._deadlines.pop(body, None)

    def _run(self) -> None:
        with self._changed:
            while True:
                now = monotonic()
                expired = [body for body, end in self._deadlines.items() if end <= now]
                while expired:  # No name keeps a body, and all it holds, while this sleeps.
                    self._deadlines.pop(expired[-1])
                    expired.pop().shut()
                self._wakes = min(self._deadlines.values(), default=inf)
                self._changed.wait(None if self._wakes == inf else self._wakes - now)


class Body(io.RawIOBase):
    """A request's input stream with a deadline.

    Args:
        stream: the server's ``wsgi.input``.
        connection: the client's socket where the server gives it; its reading side is shut at the
            deadline, which wakes a thread that waits for the next byte.
        seconds: how long it may take, watched by ``deadlines``.
        declared: the Content-Length; None for a chunked body.
    """

    def __init__(
        self,
        stream: IO[bytes],
        connection: socket.socket | None,
        *,
        deadlines: Deadlines,
        seconds: float,
        declared: int | None,
    ) -> None:
        self._stream = stream
        self._connection = connection
        self._declared = declared
        self._received = 0
        self._ended = False
        self._deadlines = deadlines
        self._deadline = deadlines.add(self, seconds)

    def readable(self) -> bool:
        """Whether it can be read, as ``io.RawIOBase`` asks."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read at most as many bytes as ``buffer`` holds, and return their number.

        Raises:
            RequestTimeout: the deadline has passed.
            BadRequest: the server finds the body damaged.
        """
        target = memoryview(buffer)
        if self._ended or not target:
            return 0
        try:
            piece = self._stream.read(len(target))
        except OSError:
            self._ended = True
            self._check()
            raise
        except Exception:  # noqa: BLE001 - whatever the server calls it
            # Gunicorn's for a damaged chunk has no class in common with other servers', and quotes what
            # was sent, which must not get into the log.
            self._ended = True
            raise BadRequest from None
        self._check()
        target[: len(piece)] = piece
        self._received += len(piece)
        if not piece or self._received == self._declared:
            self._ended = True
            self.stop()  # What follows is the app's own time, and later the connection's next request.
        return len(piece)

    def _check(self) -> None:
        if monotonic() >= self._deadline:
            self._ended = True
            raise RequestTimeout

    def drain(self, limit: int, seconds: float) -> None:
        """Read and drop what is left, at most ``limit`` bytes for ``seconds``, or shut the stream."""
        self.stop()
        self._deadline = self._deadlines.add(self, seconds)
        end = self._received + limit
        if self._declared is not None:
            end = min(self._declared, end)
        try:
            while not self._ended and self._received < end:
                self.read(min(STEP, end - self._received))
        except (OSError, RequestTimeout, BadRequest):
            pass  # The client has gone, is too slow, or sends a damaged body.
        finally:
            self.stop()
        if not self._ended:
            self.shut()

    def stop(self) -> None:
        """Stop the clock."""
        self._deadlines.discard(self)

    def shut(self) -> None:
        """Let a thread that waits for the next byte find the end of the stream."""
        if self._connection is not None:
            with suppress(OSError):  # The client has gone already.
                self._connection.shutdown(socket.SHUT_RD)


class BodyGuard:
    """WSGI middleware that gives every request body a deadline, and drains it after the response.

    Args:
        app: the WSGI app.
        seconds: how long a body may take to arrive.
        drain_limit: bytes that are drained at most once the app has answered.
    """

    def __init__(self, app: WSGIApplication, *, seconds: float, drain_limit: int) -> None:
        self.app = app
        self.deadlines = Deadlines()
        self.seconds = seconds
        self.drain_limit = drain_limit

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        length = environ.get("CONTENT_LENGTH") or ""
        declared = int(length) if length.isdecimal() else None
        chunked = declared is None and bool(environ.get("HTTP_TRANSFER_ENCODING"))
        if not declared and not chunked:
            return self.app(environ, start_response)
        body = environ["wsgi.input"] = Body(
            environ["wsgi.input"],
            environ.get("gunicorn.socket"),
            deadlines=self.deadlines,
            seconds=self.seconds,
            declared=declared,
        )
        drain_seconds = DRAIN_SECONDS

        def begin(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            nonlocal drain_seconds
            if status.startswith("503"):
                drain_seconds = OVERLOAD_DRAIN_SECONDS
            return start_response(status, headers, *exc_info)

        try:
            response = self.app(environ, begin)
        except BaseException:
            body.stop()
            raise
        # Once the response is on its way: a client that reads it may stop sending.
        return ClosingIterator(response, lambda: body.drain(self.drain_limit, drain_seconds))
