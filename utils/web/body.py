"""Bounds how long a request's body may take, and reads away what the app leaves of it.

A client that is still sending when the connection closes sees a reset instead of the answer, so what is
left is read and dropped, within bounds. The time limit is here because gunicorn's ``timeout`` watches
the worker, not the request: one byte a minute would hold a thread for days.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from time import monotonic
from typing import IO, TYPE_CHECKING

from werkzeug.exceptions import RequestTimeout

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DRAIN_SECONDS = 10.0
STEP = 2**16


class Body:
    """A request's input stream that knows how much of it was read, and when it must be over.

    Args:
        stream: the server's ``wsgi.input``.
        connection: the client's socket where the server gives it; its reading side is shut when the
            time is over, which wakes a thread that waits for the next byte.
        seconds: how long the body may take.
        declared: the Content-Length; None for a chunked body.
    """

    def __init__(
        self,
        stream: IO[bytes],
        connection: socket.socket | None,
        *,
        seconds: float,
        declared: int | None,
    ) -> None:
        self._stream = stream
        self._declared = declared
        self._connection = connection
        self._deadline = monotonic() + seconds
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True
        self._timer.start()
        self.length = 0
        self.ended = False

    def _shut(self) -> None:
        if self._connection is not None:
            try:
                self._connection.shutdown(socket.SHUT_RD)
            except OSError:
                pass  # The client has gone already.

    def read(self, size: int = -1) -> bytes:
        """Read up to ``size`` bytes; raises RequestTimeout once the time is over."""
        try:
            piece = self._stream.read(size) if size >= 0 else self._stream.read()
        except OSError:
            self.ended = True
            self._check()
            raise
        self._count(len(piece), over=not piece and size != 0)
        return piece

    def readline(self, size: int = -1) -> bytes:
        """Read one line; WSGI asks for it."""
        line = self._stream.readline(size)
        self._count(len(line), over=not line and size != 0)
        return line

    def _count(self, length: int, *, over: bool) -> None:
        if not self.ended:
            self._check()
        self.length += length
        if over or self.length == self._declared:
            self.ended = True
            # What follows is the app's own time, and later the next request on this connection.
            self.close()

    def _check(self) -> None:
        if monotonic() > self._deadline:
            self.ended = True
            raise RequestTimeout

    def drain(self, most: int) -> None:
        """Read and drop what is left: at most ``most`` bytes, and for DRAIN_SECONDS."""
        until = monotonic() + DRAIN_SECONDS
        end = self.length + most
        if self._declared is not None:
            end = min(self._declared, end)
        while not self.ended and self.length < end and monotonic() < until:
            try:
                self.read(min(STEP, end - self.length))
            except (OSError, RequestTimeout):
                return

    def close(self) -> None:
        """Stop the clock."""
        self._timer.cancel()


class BodyGuard:
    """WSGI middleware around the app.

    Args:
        app: what answers.
        seconds: how long a body may take to arrive.
        most: bytes that are read away at most once the app has answered.
    """

    def __init__(self, app: WSGIApplication, *, seconds: float, most: int) -> None:
        self.app = app
        self.seconds = seconds
        self.most = most

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        given = environ.get("CONTENT_LENGTH") or ""
        declared = int(given) if given.isdecimal() else None
        chunked = declared is None and bool(environ.get("HTTP_TRANSFER_ENCODING"))
        if not declared and not chunked:
            return self.app(environ, start_response)
        body = Body(
            environ["wsgi.input"],
            environ.get("gunicorn.socket"),
            seconds=self.seconds,
            declared=declared,
        )
        environ["wsgi.input"] = body
        try:
            answer = self.app(environ, start_response)
            body.drain(self.most)
            return answer
        finally:
            body.close()
