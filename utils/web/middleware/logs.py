"""JSON log lines on stderr: events, and one line a request.

A line has the route, never the address as it was sent, and no file name: both can carry a patient's.
"""

from __future__ import annotations

import logging
import os
import secrets
from time import perf_counter

import structlog
from flask import Flask, Response, g, request

# Loggers that write addresses as they were sent, or repeat what the request's line has.
_LEVELS = {"werkzeug": "WARNING", "flask_wtf": "WARNING", "absl": "ERROR", "pydicom": "CRITICAL"}
_REQUEST_FIELDS = ("method", "route", "status", "error", "timing_ms", "duration_ms")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def formatter() -> logging.Formatter:
    """Return the formatter that writes the standard library's log records as JSON lines."""
    return structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ExtraAdder(_REQUEST_FIELDS),
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )


def configure(level: str = "info") -> None:
    """Set up logging for this process; only the programs at the root call this."""
    # TensorFlow's C++ side writes to stderr itself, and reads this once, at its import; errors are raised
    # as well. What its libraries write while they load heeds no level (tensorflow issue 100442).
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    handler = logging.StreamHandler()
    handler.setFormatter(formatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, least in _LEVELS.items():
        logging.getLogger(name).setLevel(least)


class WithoutRequests(logging.Filter):
    """Removes from gunicorn's own lines what a client has sent.

    Worker classes other than ``JsonErrorWorker`` write such lines, and gunicorn itself at level "debug".
    """

    prefixes = (
        "Invalid request from",
        "Error handling request",
        "Ignored premature client disconnection",
    )

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten a line that would repeat a request."""
        for prefix in self.prefixes:
            if str(record.msg).startswith(prefix):
                record.msg, record.args = prefix.removesuffix(" from"), ()
        return True


def register(app: Flask) -> None:
    """Give every request an id of our own making, and log it when it is answered."""
    logger = logging.getLogger("request")

    @app.before_request
    def begin() -> None:
        g.began = perf_counter()
        # Never the client's X-Request-ID: it may hold anything, a patient's name for one.
        g.request_id = secrets.token_hex(8)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)

    @app.after_request
    def log_request(response: Response) -> Response:
        response.headers["X-Request-ID"] = g.request_id
        values = (
            request.method if request.method in _METHODS else "other",
            request.url_rule.rule if request.url_rule else "none",
            response.status_code,
            g.get("error_code"),
            g.get("timing_ms"),
            round((perf_counter() - g.began) * 1000, 1),
        )
        logger.info("request", extra=dict(zip(_REQUEST_FIELDS, values, strict=True)))
        return response

    @app.teardown_request
    def forget(exception: BaseException | None) -> None:
        # What the thread logs next belongs to no request, or to another one.
        structlog.contextvars.clear_contextvars()
