"""Time limits of a request's body, and draining of what the app leaves unread.

A slow line that goes on sending is waited for; one that has stopped, or only trickles, is not. Gunicorn has
no such limit: its ``timeout`` watches the worker, not the request, so that one byte a minute would hold a
thread for days; and it drains a body only where the connection is kept, so that a client that is
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
# An upload has paused until this many more bytes have arrived: one byte a second is no progress.
PROGRESS = 2**12
# In all it may take this many times its longest pause.
TOTAL = 30


class Deadlines:
    """One thread that ends the bodies whose deadline has passed; it sleeps until the earliest of them."""

    def __init__(self) -> None:
        self._bodies: set[Body] = set()
        self._wakes = inf
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, body: Body) -> None:
        """Watch a body; its deadline may move on meanwhile, never back."""
        with self._changed:
            self._bodies.add(body)
            if self._thread is None:  # Not earlier: a thread does not survive gunicorn's fork.
                self._thread = threading.Thread(target=self._run, name="bodies", daemon=True)
                self._thread.start()
            elif body.deadline < self._wakes:
                self._changed.notify()

    def discard(self, body: Body) -> None:
        """Stop watching a body; once this returns, its connection is left alone."""
        with self._changed:
            self._bodies.discard(body)

    def _run(self) -> None:
        with self._changed:
            while True:
                now = monotonic()
                expired = [body for body in self._bodies if body.deadline <= now]
                while expired:  # No name keeps a body, and all it holds, while this sleeps.
                    self._bodies.discard(expired[-1])
                    expired.pop().expire()
                self._wakes = min((body.deadline for body in self._bodies), default=inf)
                self._changed.wait(None if self._wakes == inf else self._wakes - now)


class Body(io.RawIOBase):
    """A request's input stream with a time limit.

    Args:
        stream: the server's ``wsgi.input``.
        connection: the client's socket where the server gives it; its reading side is shut at the
            deadline, which wakes a thread that waits for the next byte.
        seconds: how long it may pause, watched by ``deadlines``.
        total: how long it may take in all, seconds.
        declared: the Content-Length; None for a chunked body.
    """

    def __init__(
        self,
        stream: IO[bytes],
        connection: socket.socket | None,
        *,
        deadlines: Deadlines,
        seconds: float,
        total: float,
        declared: int | None,
    ) -> None:
        self._stream = stream
        self._connection = connection
        self._declared = declared
        self._received = 0
        self._ended = False
        self._expired = False
        self._deadlines = deadlines
        self._watch(seconds, total)

    def _watch(self, seconds: float, total: float) -> None:
        """Let it pause for ``seconds`` and take ``total`` from now on."""
        self._seconds = seconds
        self._end = monotonic() + total
        self._progress()
        self._deadlines.add(self)

    def _progress(self) -> None:
        self.deadline = min(monotonic() + self._seconds, self._end)

    def readable(self) -> bool:
        """Whether it can be read, as ``io.RawIOBase`` asks."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read at most as many bytes as ``buffer`` holds, and return their number.

        Raises:
            RequestTimeout: the body paused or took too long.
            BadRequest: the server finds the body damaged.
        """
        target = memoryview(buffer)
        filled = 0
        while not self._ended and filled < len(target):
            # Servers return once they have all that was asked for: little, to see it arrive.
            size = min(PROGRESS, len(target) - filled)
            piece = self._piece(size)
            target[filled : filled + len(piece)] = piece
            filled += len(piece)
            if len(piece) < size:
                break
        return filled

    def _piece(self, size: int) -> bytes:
        try:
            piece = self._stream.read(size)
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
        self._progress()
        self._received += len(piece)
        if not piece or self._received == self._declared:
            self._ended = True
            self.stop()  # What follows is the app's own time, and later the connection's next request.
        return piece

    def _check(self) -> None:
        if self._expired or monotonic() >= self.deadline:
            self._ended = True
            raise RequestTimeout

    def drain(self, limit: int, seconds: float) -> None:
        """Read and drop what is left, at most ``limit`` bytes for ``seconds``, or shut the stream."""
        self.stop()
        self._watch(seconds, seconds)
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

    def expire(self) -> None:
        """End it at its deadline."""
        self._expired = True
        self.shut()

    def shut(self) -> None:
        """Let a thread that waits for the next byte find the end of the stream."""
        if self._connection is not None:
            with suppress(OSError):  # The client has gone already.
                self._connection.shutdown(socket.SHUT_RD)


class BodyGuard:
    """WSGI middleware that gives every request body time limits, and drains it after the response.

    Args:
        app: the WSGI app.
        seconds: how long a body may pause; it may take ``TOTAL`` times as long in all.
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
            total=TOTAL * self.seconds,
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
