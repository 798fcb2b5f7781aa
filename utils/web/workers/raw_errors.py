"""Error responses as bytes, for requests that are refused before the app gets them.

Gunicorn's and werkzeug's own pages and log lines repeat the request's line or header, which can carry a
patient's name.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from werkzeug.serving import WSGIRequestHandler

from utils.messages import sentence
from utils.web.errors import HTTP_ERRORS
from utils.web.middleware.security import HEADERS


def raw_error(status: int) -> bytes:
    """Return a whole HTTP response in JSON, after which the connection is closed."""
    error = HTTP_ERRORS[status]
    assert error.before_app, f"{status} is an answer of the app"
    message = sentence(error.before_app)
    body = json.dumps({"error": {"code": error.code, "message": message}}).encode()
    headers = HEADERS | {
        "Cache-Control": "no-store",
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


class JsonErrorHandler(WSGIRequestHandler):
    """Request handler of ``python app.py`` that answers in JSON and logs nothing of a request."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that cannot be parsed; ``message`` repeats it and is left out."""
        self.close_connection = True
        self.wfile.write(raw_error(code if code in (414, 431) else 400))

    def log_error(self, format: str, *args: Any) -> None:
        """Log nothing: the line would hold the request's."""
