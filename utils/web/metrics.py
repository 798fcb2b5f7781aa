"""Prometheus counts of all workers, and the blueprint of ``GET /metrics``.

Every label has few values, all of them ours: a route as it is registered, never an address as it was sent.
Nothing is counted by patient, file or client.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from flask import Blueprint, Flask, Response, current_app, g, request

from utils.web.workers import prometheus_folder

if TYPE_CHECKING:
    from utils.inference.prediction import Prediction
    from utils.inference.predictor import Predictor

REQUEST_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
STAGE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
# An address without a route: the labels must not grow with what clients send.
UNKNOWN_ROUTE = "other"

blueprint = Blueprint("metrics", __name__)


class Metrics:
    """The counts: of this process, or of all workers together under gunicorn."""

    def __init__(self) -> None:
        self._folder = prometheus_folder.current()
        # Only now: prometheus_client decides at its import where the values live.
        import prometheus_client

        prometheus_client.disable_created_metrics()  # Not available in several processes.
        self._registry = prometheus_client.CollectorRegistry()
        registry = self._registry if self._folder is None else None
        counter = partial(prometheus_client.Counter, registry=registry)
        histogram = partial(prometheus_client.Histogram, registry=registry)
        gauge = partial(prometheus_client.Gauge, multiprocess_mode="livesum", registry=registry)
        self.requests = counter("fracture_requests", "Requests answered.", ("route", "status"))
        self.errors = counter(
            "fracture_errors", "Requests refused, by the code of docs/api.md.", ("code",)
        )
        self.request_seconds = histogram(
            "fracture_request_seconds",
            "Time from a request's headers to its response.",
            ("route",),
            buckets=REQUEST_SECONDS,
        )
        self.stage_seconds = histogram(
            "fracture_stage_seconds",
            "Time of one stage of a prediction, as in timing_ms.",
            ("stage",),
            buckets=STAGE_SECONDS,
        )
        self.verdicts = counter(
            "fracture_verdicts",
            "Predictions returned: positive, negative or none.",
            ("verdict", "certainty"),
        )
        self.slots_taken = gauge(
            "fracture_places_taken",
            "Slots taken: uploads that arrive, radiographs that wait or are computed.",
        )
        self.waiting = gauge("fracture_queue_waiting", "Radiographs in the admission queue.")
        self.running = gauge("fracture_reading", "Predictions under way.")
        self.ready = gauge("fracture_model_ready", "Workers whose model has passed its self-test.")
        self.model = gauge(
            "fracture_model_info",
            "Workers that answer with this model.",
            ("architecture", "sha256", "engine"),
        )

    def set_model(self, predictor: Predictor) -> None:
        """Record that this process has a model that answers."""
        bundle = predictor.bundle
        self.model.labels(bundle.architecture, bundle.sha256, predictor.engine.kind).set(1)
        self.ready.set(1)

    def count_prediction(self, prediction: Prediction, positive: str) -> None:
        """Count one prediction and its stages; ``positive`` is the bundle's label of a fracture."""
        verdict = "none"
        if prediction.prediction is not None:
            verdict = "positive" if prediction.prediction == positive else "negative"
        self.verdicts.labels(verdict, prediction.certainty).inc()
        for stage, milliseconds in prediction.timing_ms.items():
            self.stage_seconds.labels(stage).observe(milliseconds / 1000.0)

    def text(self) -> bytes:
        """Return the counts in Prometheus' text format."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = self._registry
        if self._folder is not None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, str(self._folder))
        return generate_latest(registry)


@blueprint.get("/metrics")
def show() -> Response:
    """Return the counts of all workers to Prometheus."""
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

    metrics: Metrics = current_app.extensions["metrics"]
    return Response(metrics.text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def register(app: Flask) -> None:
    """Count every request when it is answered, and serve the counts."""
    metrics = app.extensions["metrics"] = Metrics()
    app.register_blueprint(blueprint)

    @app.after_request
    def count(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else UNKNOWN_ROUTE
        metrics.requests.labels(route, str(response.status_code)).inc()
        metrics.request_seconds.labels(route).observe(perf_counter() - g.began)
        if "error_code" in g:
            metrics.errors.labels(g.error_code).inc()
        return response
