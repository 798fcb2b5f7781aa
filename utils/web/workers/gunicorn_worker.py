"""Gunicorn's threaded worker with errors in JSON, which repeat nothing of the request."""

from __future__ import annotations

import socket
import ssl
from typing import Any

from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

from utils.web.workers.raw_errors import raw_error

# The first class that an exception belongs to decides; any other is a bug of ours.
STATUS: dict[type[Exception], int] = {
    errors.InvalidResponseHeader: 500,
    errors.InvalidResponseHeaderName: 500,
    errors.ConfigurationProblem: 500,
    errors.LimitRequestLine: 414,
    errors.ExpectationFailed: 417,
    errors.LimitRequestHeaders: 431,
    errors.UnsupportedTransferCoding: 501,
    errors.ParseException: 400,
    ssl.SSLError: 400,
}

# Raised again while gunicorn drains a body that the app has answered already.
IN_BODY = (
    errors.InvalidChunkSize,
    errors.InvalidChunkExtension,
    errors.ChunkMissingTerminator,
)


class JsonErrorWorker(ThreadWorker):
    """Threaded worker; gunicorn's own quotes a refused request in its HTML answer and in its log."""

    def handle_error(
        self, req: Any, client: socket.socket, addr: object, exc: BaseException
    ) -> None:
        """Answer a request that the app does not get or failed with; ``req`` may be None."""
        if req is not None and isinstance(exc, IN_BODY):
            self.log.debug("a connection ends with a damaged body")
            return
        status = next((status for kind, status in STATUS.items() if isinstance(exc, kind)), 500)
        if status == 500:
            # Gunicorn's own exceptions quote the request.
            trace = None if isinstance(exc, errors.ParseException) else exc
            self.log.error(
                "a request failed outside the app: %s", type(exc).__name__, exc_info=trace
            )
        else:
            self.log.warning("refused a request before the app: %d", status)
        try:
            util.write_nonblock(client, raw_error(status))
            # Until the client has seen the response, but in this thread: gunicorn would wait in the one
            # that accepts connections, and all others with it.
            util.close_graceful(socket.fromfd(client.fileno(), client.family, client.type))
            client.shutdown(socket.SHUT_RD)
        except OSError:
            self.log.debug("the client has gone before its error response")
