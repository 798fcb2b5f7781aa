"""Turns what a server refuses by itself, before the app sees it, into whole HTTP answers in JSON.

A server's own answer is a page that repeats the request's line or header, and its log line does too: both
can carry a patient's name.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from werkzeug.serving import WSGIRequestHandler

from utils.web.middleware.security import HEADERS

# By status: code and sentence.
REFUSALS: dict[int, tuple[str, str]] = {
    400: ("bad_request", "the request is no valid HTTP"),
    414: ("address_too_long", "the request's address is too long"),
    417: ("expectation_failed", "Expect takes 100-continue alone"),
    431: ("headers_too_large", "the request's headers are too large"),
    500: ("internal_error", "something failed here"),
    501: ("unsupported_coding", "a body comes with a Content-Length or chunked, not compressed"),
}


def refusal(status: int) -> bytes:
    """Return the whole answer with one of these statuses, after which the connection is closed."""
    code, message = REFUSALS[status]
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
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
    """The handler of ``python app.py``: it refuses as the app does, and logs nothing of a request."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that cannot be read; its words in ``message`` are left out."""
        self.close_connection = True
        self.wfile.write(refusal(code if code in (414, 431) else 400))

    def log_error(self, format: str, *args: Any) -> None:
        """Leave out what would be logged with the request's line."""
