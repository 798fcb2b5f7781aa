"""Turns requests for the site's five addresses into answers."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

from flask import (
    Blueprint,
    Response,
    current_app,
    g,
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
from utils.web.metrics import Metrics
from utils.web.negotiation import wants_page
from utils.web.pages import legend, result_page
from utils.web.service import PredictorService
from utils.web.uploads import parse_form, uploaded_file

site = Blueprint("site", __name__)
csrf = CSRFProtect()


def service() -> PredictorService:
    """Return the app's reader service."""
    found: PredictorService = current_app.extensions["reader_service"]
    return found


def metrics() -> Metrics:
    """Return the app's counts."""
    found: Metrics = current_app.extensions["metrics"]
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
    overlay = _flag("overlay") and not page
    asked = service()
    with asked.turns.place():
        parse_form(request)
        received = perf_counter()
        if page:
            csrf.protect()
        # Before the model is asked for: a wrong request is the caller's fault on a server that is not ready.
        file = uploaded_file(request)
        reader = asked.reader()
        # A large upload stays on disk until its turn: many that wait would fill the memory.
        reading, waited = asked.turns.take(
            lambda: reader.read(
                file.stream.read(), overlay=overlay, page=page, alone=asked.turns.alone
            )
        )
    before = {"receive": (received - g.began) * 1000, "queue": waited}
    g.timing_ms = {name: round(spent, 2) for name, spent in before.items()} | reading.timing_ms
    reading = replace(reading, timing_ms=g.timing_ms)
    bundle = reader.bundle
    metrics().read(reading, bundle.labels.positive)
    if not page:
        return jsonify(reading.as_json())
    result = result_page(
        reading,
        doubt=bundle.doubt,
        positive=bundle.labels.positive,
        tested=bundle.metrics.get("test"),
    )
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


@site.get("/metrics")
def show_metrics() -> Response:
    """Show the counts of all workers to Prometheus."""
    text, media_type = metrics().text()
    return Response(text, content_type=media_type)


def _flag(name: str) -> bool:
    given = request.args.get(name, "1")
    if given not in ("0", "1"):
        raise InputError(f"{name} is 0 or 1")
    return given == "1"
