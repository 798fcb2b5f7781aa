"""Turns the five addresses of the site into answers."""

from __future__ import annotations

from flask import (
    Blueprint,
    Response,
    current_app,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_wtf.csrf import CSRFProtect
from werkzeug.wrappers import Response as AnyResponse

from utils.errors import InputError
from utils.web.negotiation import wants_page
from utils.web.pages import legend, result_page
from utils.web.service import ReaderService
from utils.web.uploads import parse_form, uploaded_file

site = Blueprint("site", __name__)
csrf = CSRFProtect()


def service() -> ReaderService:
    """Return the app's reader service."""
    found: ReaderService = current_app.extensions["reader_service"]
    return found


@site.get("/")
def upload() -> str:
    """Show the upload page."""
    return render_template("upload.html")


@site.get("/predict")
def predict_page() -> AnyResponse:
    """Send a browser that reloads a result back to the upload page."""
    return redirect(url_for("site.upload"))


@site.post("/predict")
def predict() -> Response:
    """Read one radiograph.

    The token is asked of browsers alone. JSON needs none: the answer depends on no cookie and no
    session, nothing is changed or kept, and another site's script cannot read it.
    """
    page = wants_page(request)
    overlay = _flag("overlay")
    parse_form(request)
    if page:
        csrf.protect()
    # Before the model is asked for: a wrong request is the caller's fault on a server that is not ready.
    content = uploaded_file(request)
    with service().turn() as reader:
        reading = reader.read(content, overlay=overlay and not page, page=page)
        bundle = reader.bundle
    if not page:
        return jsonify(reading.as_json())
    result = result_page(reading, doubt=bundle.doubt, positive=bundle.labels.positive)
    return make_response(render_template("result.html", result=result, legend=legend()))


@site.get("/healthz")
def healthz() -> Response:
    """Say that the process answers."""
    return jsonify({"status": "ok"})


@site.get("/readyz")
def readyz() -> Response:
    """Say that the model has answered its golden example, or raise why it cannot."""
    bundle = service().reader(wait=False).bundle
    return jsonify(
        {
            "status": "ready",
            "model": {"architecture": bundle.architecture, "sha256": bundle.sha256},
        }
    )


def _flag(name: str) -> bool:
    given = request.args.get(name, "1")
    if given not in ("0", "1"):
        raise InputError(f"{name} is 0 or 1")
    return given == "1"
