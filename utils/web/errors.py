"""Turns a fault, ours or the framework's, into a status, a code and a sentence: as JSON or as a page.

The code and the sentence are the same in both.
"""

from __future__ import annotations

import logging

from flask import Flask, Response, current_app, g, jsonify, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, InternalServerError

from utils.errors import (
    FractureError,
    InputError,
    NotARadiograph,
    SetupError,
    TooLarge,
    UnreadableImage,
    UnsupportedFormat,
)
from utils.web.negotiation import wants_page

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5

# The nearest class in a fault's ancestry decides.
STATUS: dict[type[FractureError], int] = {
    InputError: 400,
    UnreadableImage: 400,
    TooLarge: 413,
    UnsupportedFormat: 415,
    NotARadiograph: 422,
    SetupError: 503,
}

# The framework's own, by status.
CODES: dict[int, tuple[str, str]] = {
    400: ("bad_request", "the request cannot be understood"),
    404: ("not_found", "there is nothing at this address"),
    405: ("method_not_allowed", "this address does not take that method"),
    408: ("timeout", "the request's body took too long to arrive"),
    413: ("too_large", ""),
    500: ("internal_error", ""),
}


def status_of(fault: FractureError) -> int:
    """Return the HTTP status of one of our own faults."""
    for kind in type(fault).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return 500


def _answer(status: int, code: str, message: str) -> Response:
    """Say what went wrong in the caller's form, and leave the code for the log."""
    g.error_code = code
    if not wants_page(request):
        response = jsonify({"error": {"code": code, "message": message}})
    else:
        # A mistake with the upload is shown on the upload page, where it can be mended.
        mendable = request.path == "/predict" and status in (400, 408, 413, 415, 422, 503)
        response = make_response(
            render_template(
                "upload.html" if mendable else "error.html",
                error={"status": status, "code": code, "message": message},
            )
        )
    response.status_code = status
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def _ours(fault: FractureError) -> Response:
    status = status_of(fault)
    if status == 500:
        logger.error("a fault without a status", exc_info=fault)
        return _framework(InternalServerError())
    return _answer(status, fault.code, str(fault))


def _framework(fault: HTTPException) -> Response:
    status = fault.code or 500
    code, message = CODES.get(status, ("error", fault.name.lower()))
    if status == 413:
        message = (
            f"the request is too large: a file may have {current_app.config['MAX_UPLOAD_MB']} MB, "
            "and a form eight short parts"
        )
    if status >= 500:
        message = f"something failed here; the log knows it as request {g.request_id}"
    response = _answer(status, code, message)
    if status == 405 and "Allow" in (headers := dict(fault.get_headers())):
        response.headers["Allow"] = headers["Allow"]
    return response


def _csrf(fault: CSRFError) -> Response:
    return _answer(
        400,
        "csrf_failed",
        "the form has expired or did not come from this site; choose the file and send it again "
        "(cookies must be allowed)",
    )


def register(app: Flask) -> None:
    """Give every fault its answer."""
    app.register_error_handler(FractureError, _ours)
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(HTTPException, _framework)
