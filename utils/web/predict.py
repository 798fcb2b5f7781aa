"""Blueprint of the upload page and of ``POST /predict``."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

from flask import Blueprint, Response, g, jsonify, redirect, render_template, request, url_for
from flask_wtf.csrf import CSRFProtect
from werkzeug.wrappers import Response as AnyResponse

from utils.errors import InputError
from utils.web.middleware.negotiation import wants_page
from utils.web.pages import legend, result_page
from utils.web.service import current_service
from utils.web.uploads import parse_form, uploaded_file

blueprint = Blueprint("predict", __name__)
csrf = CSRFProtect()


@blueprint.get("/")
def upload() -> str:
    """Show the upload page."""
    return render_template("predict/upload.html")


@blueprint.get("/predict")
def reload() -> AnyResponse:
    """Send a browser that reloads a result back to the upload page."""
    return redirect(url_for("predict.upload"))


@blueprint.post("/predict")
def predict() -> Response:
    """Answer one radiograph.

    The token is required of browsers alone. JSON needs none: the answer depends on no cookie and no
    session, nothing is changed or kept, and another site's script cannot read it.
    """
    page = wants_page(request)
    overlay = _flag("overlay") and not page
    service = current_service()
    with service.queue.slot():
        parse_form(request)
        received = perf_counter()
        if page:
            csrf.protect()
        # Before the model is needed: a wrong request is the client's error on a server that is not ready.
        file = uploaded_file(request)
        predictor = service.predictor()
        # A large upload stays on disk while it waits: many of them would fill the memory.
        prediction, waited = service.queue.run(
            lambda: predictor.predict(
                file.stream.read(), overlay=overlay, page=page, alone=service.queue.is_alone
            )
        )
    before = {"receive": (received - g.began) * 1000, "queue": waited}
    g.timing_ms = {name: round(spent, 2) for name, spent in before.items()} | prediction.timing_ms
    prediction = replace(prediction, timing_ms=g.timing_ms)
    bundle = predictor.bundle
    service.metrics.count_prediction(prediction, bundle.labels.positive)
    if not page:
        return jsonify(prediction.as_json())
    result = result_page(
        prediction,
        doubt=bundle.doubt,
        positive=bundle.labels.positive,
        regions=bundle.regions,
        test_metrics=bundle.metrics.get("test"),
    )
    return Response(render_template("predict/result.html", result=result, legend=legend()))


def _flag(name: str) -> bool:
    value = request.args.get(name, "1")
    if value not in ("0", "1"):
        raise InputError("web.flag_value", name=name)
    return value == "1"
