"""JSON log lines on stderr: events, and one line a request.

A line has the route, never the address as it was sent, and no file name: both can carry a patient's.
"""

from __future__ import annotations

import logging
import os
import secrets
from time import perf_counter
from typing import Any

import structlog
from flask import Flask, Response, g, request

_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]

# Loggers that write addresses as they were sent, or repeat what the request's line has.
_LEVELS = {"werkzeug": "WARNING", "flask_wtf": "WARNING", "absl": "ERROR", "pydicom": "CRITICAL"}
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def formatter() -> logging.Formatter:
    """Return the formatter of JSON lines, for structlog's events and the standard library's."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_PROCESSORS, structlog.stdlib.PositionalArgumentsFormatter()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )


def configure(level: str = "info") -> None:
    """Set up logging for this process; only the programs at the root call this."""
    # TensorFlow's C++ side writes lines of its own to stderr, and reads this once, at its import. What
    # truly fails there is raised as well. What its libraries write while they load heeds no level
    # (tensorflow/tensorflow issue 100442).
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

    ``JsonErrorWorker`` writes no such lines, but another worker class on the command line does, and so
    does gunicorn at the level "debug".
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


def gunicorn_logging(level: str = "info") -> dict[str, Any]:
    """Return gunicorn's ``logconfig_dict``: its own events as JSON lines too, and no access log."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": f"{__name__}.formatter"}},
        "filters": {"without requests": {"()": f"{__name__}.WithoutRequests"}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "json"},
            "none": {"class": "logging.NullHandler"},
        },
        "root": {"level": level.upper(), "handlers": ["stderr"]},
        "loggers": {
            "gunicorn.error": {
                "level": level.upper(),
                "handlers": [],
                "filters": ["without requests"],
                "propagate": True,
            },
            "gunicorn.access": {"handlers": ["none"], "propagate": False},
        },
    }


def register(app: Flask) -> None:
    """Give every request an id of our own making, and log it when it is answered."""
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger("request"),
        processors=[*_PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
    )

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
        logger.info(
            "request",
            method=request.method if request.method in _METHODS else "other",
            route=request.url_rule.rule if request.url_rule else "none",
            status=response.status_code,
            error=g.get("error_code"),
            timing_ms=g.get("timing_ms"),
            duration_ms=round((perf_counter() - g.began) * 1000, 1),
        )
        return response

    @app.teardown_request
    def forget(exception: BaseException | None) -> None:
        # What the thread logs next belongs to no request, or to another one.
        structlog.contextvars.clear_contextvars()
