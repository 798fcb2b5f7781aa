"""Bounds how long a request's body may take, and reads away what the app leaves of it.

A client that is still sending when the connection closes sees a reset instead of the answer, so what is
left is read and dropped, within bounds. The time limit is here because gunicorn's ``timeout`` watches
the worker, not the request: one byte a minute would hold a thread for days.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable
from time import monotonic, sleep
from typing import IO, TYPE_CHECKING, Any

from werkzeug.exceptions import BadRequest, RequestTimeout
from werkzeug.wsgi import ClosingIterator

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DRAIN_SECONDS = 10.0
# A server with too much to do gives a slow client less of its threads' time.
REFUSAL_SECONDS = 2.0
STEP = 2**16


class Watch:
    """One thread that ends the bodies whose time is over.

    It wakes at the oldest body's time, and not at all while none is being read: a request of a moment
    costs it two entries in a table, where a timer would cost a thread.

    Args:
        seconds: how long each body may take.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        # All have the same time, so the first one in is the first one due.
        self._bodies: dict[Body, float] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, body: Body) -> float:
        """Watch a body from now on, and return the moment when its time is over."""
        with self._changed:
            until = self._bodies[body] = monotonic() + self.seconds
            if self._thread is None:  # Not earlier: a thread does not survive gunicorn's fork.
                self._thread = threading.Thread(target=self._run, name="bodies", daemon=True)
                self._thread.start()
            elif len(self._bodies) == 1:
                self._changed.notify()
            return until

    def discard(self, body: Body) -> None:
        """Stop watching a body; once this returns, its connection is left alone."""
        with self._changed:
            self._bodies.pop(body, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._bodies:
                    self._changed.wait()
                body, until = next(iter(self._bodies.items()))
                left = until - monotonic()
                if left <= 0:
                    del self._bodies[body]
                    body.shut()
            del body  # It would be kept, and all it holds, for as long as this sleeps.
            # Whatever comes meanwhile is due later.
            if left > 0:
                sleep(left)


class Body:
    """A request's input stream that knows how much of it was read, and when it must be over.

    Args:
        stream: the server's ``wsgi.input``.
        connection: the client's socket where the server gives it; its reading side is shut when the
            time is over, which wakes a thread that waits for the next byte.
        watch: says when that is.
        declared: the Content-Length; None for a chunked body.
    """

    def __init__(
        self,
        stream: IO[bytes],
        connection: socket.socket | None,
        *,
        watch: Watch,
        declared: int | None,
    ) -> None:
        self._stream = stream
        self._declared = declared
        self._connection = connection
        self.length = 0
        self.ended = False
        self._watch = watch
        self._deadline = watch.add(self)

    def shut(self) -> None:
        """Let whoever waits for the next byte find the end of the stream."""
        if self._connection is not None:
            try:
                self._connection.shutdown(socket.SHUT_RD)
            except OSError:
                pass  # The client has gone already.

    def read(self, size: int = -1) -> bytes:
        """Read up to ``size`` bytes.

        Raises:
            RequestTimeout: the time is over.
            BadRequest: the server finds the body damaged.
        """
        try:
            piece = self._stream.read(size) if size >= 0 else self._stream.read()
        except OSError:
            self.ended = True
            self._check()
            raise
        except Exception:  # noqa: BLE001 - whatever the server calls it
            # Gunicorn's for a damaged chunk has no class in common with other servers', and repeats what
            # was sent, which must not get into the log.
            self.ended = True
            raise BadRequest from None
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

    def finish(self, watch: Watch, most: int) -> None:
        """Read and drop what is left, at most ``most`` bytes and for as long as ``watch`` lets it."""
        self.close()
        self._watch = watch
        self._deadline = watch.add(self)
        end = self.length + most
        if self._declared is not None:
            end = min(self._declared, end)
        try:
            while not self.ended and self.length < end:
                self.read(min(STEP, end - self.length))
        except (OSError, RequestTimeout, BadRequest):
            pass  # It is over in another way.
        finally:
            self.close()
        if not self.ended:
            self.shut()

    def close(self) -> None:
        """Stop the clock."""
        self._watch.discard(self)


class BodyGuard:
    """WSGI middleware around the app.

    Args:
        app: what answers.
        seconds: how long a body may take to arrive.
        most: bytes that are read away at most once the app has answered.
    """

    def __init__(self, app: WSGIApplication, *, seconds: float, most: int) -> None:
        self.app = app
        self.watch = Watch(seconds)
        self.after = Watch(DRAIN_SECONDS)
        self.after_refusal = Watch(REFUSAL_SECONDS)
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
            watch=self.watch,
            declared=declared,
        )
        environ["wsgi.input"] = body
        watch = self.after

        def begin(status: str, headers: list[tuple[str, str]], *fault: Any) -> Any:
            nonlocal watch
            if status.startswith("503"):
                watch = self.after_refusal
            return start_response(status, headers, *fault)

        try:
            answer = self.app(environ, begin)
        except BaseException:
            body.close()
            raise
        # Once the answer is on its way: a client that reads it may stop sending.
        return ClosingIterator(answer, lambda: body.finish(watch, self.most))
