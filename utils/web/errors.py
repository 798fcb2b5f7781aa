"""Error responses: one table of statuses, codes and sentences, as JSON or as a page.

Code and sentence are the same in both. A FractureError brings its own; those of HTTP are in ``HTTP_ERRORS``,
which the server's processes use as well (``workers/raw_errors.py``).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

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
from utils.messages import sentence
from utils.web.middleware.negotiation import wants_page
from utils.web.uploads import UnsupportedCoding

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5

# Statuses that are shown on the upload page, where the mistake can be mended.
ON_UPLOAD_PAGE = (400, 408, 413, 415, 422, 503)

# Statuses of our own errors; the first class in the MRO that is listed decides.
STATUS: dict[type[FractureError], int] = {
    InputError: 400,
    UnreadableImage: 400,
    TooLarge: 413,
    UnsupportedFormat: 415,
    UnsupportedCoding: 415,
    NotARadiograph: 422,
    SetupError: 503,
}


@dataclass(frozen=True)
class HttpError:
    """One row of the table: a code, stable for scripts, and message ids.

    Args:
        before_app: message id where the app never gets the request; None where that cannot be.
        in_app: message id where the app raises it; None where that cannot be.
    """

    code: str
    before_app: str | None = None
    in_app: str | None = None


HTTP_ERRORS = {
    400: HttpError("bad_request", before_app="web.invalid_http", in_app="web.bad_request"),
    404: HttpError("not_found", in_app="web.not_found"),
    405: HttpError("method_not_allowed", in_app="web.method_not_allowed"),
    408: HttpError("timeout", in_app="web.timeout"),
    413: HttpError("too_large", in_app="web.too_large"),
    414: HttpError("address_too_long", before_app="web.address_too_long"),
    417: HttpError("expectation_failed", before_app="web.expectation_failed"),
    431: HttpError("headers_too_large", before_app="web.headers_too_large"),
    500: HttpError(
        "internal_error", before_app="web.internal_error_before_app", in_app="web.internal_error"
    ),
    501: HttpError("unsupported_coding", before_app="web.unsupported_coding"),
}


def status_of(error: FractureError) -> int:
    """Return the HTTP status of one of our own errors."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def _response(status: int, code: str, message: str) -> Response:
    """Return an error in the client's format, and keep its code for the log and the counts."""
    g.error_code = code
    error = {"code": code, "message": message}
    if wants_page(request):
        mendable = request.path == "/predict" and status in ON_UPLOAD_PAGE
        template = "predict/upload.html" if mendable else "errors/error.html"
        response = make_response(render_template(template, error=error | {"status": status}))
    else:
        response = jsonify(error=error)
    response.status_code = status
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def _handle_fracture_error(error: FractureError) -> Response:
    status = status_of(error)
    if status == 500:
        logger.error("an error without a status", exc_info=error)
        return _handle_http_error(InternalServerError())
    return _response(status, error.code, str(error))


def _handle_http_error(error: HTTPException) -> Response:
    status = error.code or 500
    row = HTTP_ERRORS.get(status, HttpError("error"))
    message = error.name.lower()
    if status >= 500 or row.in_app:
        message = sentence(
            row.in_app or "web.internal_error",
            max_upload_mb=current_app.config["MAX_UPLOAD_MB"],
            request_id=g.request_id,
        )
    response = _response(status, row.code, message)
    if status == 405 and "Allow" in (headers := dict(error.get_headers())):
        response.headers["Allow"] = headers["Allow"]
    return response


def _handle_csrf_error(error: CSRFError) -> Response:
    return _response(400, "csrf_failed", sentence("web.csrf_failed"))


def register(app: Flask) -> None:
    """Answer every error in the client's format."""
    app.register_error_handler(FractureError, _handle_fracture_error)
    app.register_error_handler(CSRFError, _handle_csrf_error)
    app.register_error_handler(HTTPException, _handle_http_error)
