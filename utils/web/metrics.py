"""Turns what happens in the workers into the Prometheus text of ``GET /metrics``.

Every label has few values, all of them ours: a route as it is registered, never an address as it was sent.
Nothing is counted by patient, file or client.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from flask import Flask, Response, g, request

from utils.web import prometheus_folder as metrics_folder

if TYPE_CHECKING:
    from utils.inference.predictor import Prediction

REQUEST_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
STAGE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
# An address that no route takes; the labels must not grow with what callers send.
UNKNOWN_ROUTE = "other"


class Metrics:
    """The app's counts: of this process, or of all workers together under gunicorn."""

    def __init__(self) -> None:
        self._shared = metrics_folder.chosen()
        # Only now: where the values live is decided once, at this import.
        from prometheus_client import (
            CollectorRegistry,
            Counter,
            Gauge,
            Histogram,
            disable_created_metrics,
        )

        disable_created_metrics()  # Several processes have none; one shall look the same.
        self._registry = CollectorRegistry()
        here = self._registry if self._shared is None else None
        self.requests = Counter(
            "fracture_requests", "Requests answered.", ("route", "status"), registry=here
        )
        self.errors = Counter(
            "fracture_errors",
            "Requests refused, by the code of docs/api.md.",
            ("code",),
            registry=here,
        )
        self.request_seconds = Histogram(
            "fracture_request_seconds",
            "Time from a request's headers to its answer.",
            ("route",),
            buckets=REQUEST_SECONDS,
            registry=here,
        )
        self.stage_seconds = Histogram(
            "fracture_stage_seconds",
            "Time of one step of a reading, as in timing_ms.",
            ("stage",),
            buckets=STAGE_SECONDS,
            registry=here,
        )
        self.verdicts = Counter(
            "fracture_verdicts",
            "Readings answered: positive, negative or none.",
            ("verdict", "certainty"),
            registry=here,
        )
        self.places = Gauge(
            "fracture_places_taken",
            "Requests inside: uploads that arrive, radiographs that wait or are read.",
            multiprocess_mode="livesum",
            registry=here,
        )
        self.waiting = Gauge(
            "fracture_queue_waiting",
            "Radiographs that wait for their turn.",
            multiprocess_mode="livesum",
            registry=here,
        )
        self.reading = Gauge(
            "fracture_reading",
            "Radiographs that are being read.",
            multiprocess_mode="livesum",
            registry=here,
        )
        self.ready = Gauge(
            "fracture_model_ready",
            "Workers whose model has reproduced its golden example.",
            multiprocess_mode="livesum",
            registry=here,
        )
        self.model = Gauge(
            "fracture_model_info",
            "Workers that answer with this model.",
            ("architecture", "sha256", "engine"),
            multiprocess_mode="livesum",
            registry=here,
        )

    def loaded(self, architecture: str, sha256: str, engine: str) -> None:
        """Say that this process has a model that answers."""
        self.model.labels(architecture, sha256, engine).set(1)
        self.ready.set(1)

    def read(self, reading: Prediction, positive: str) -> None:
        """Count one reading and its steps.

        Args:
            reading: that was answered.
            positive: the bundle's label of a fracture.
        """
        verdict = "none"
        if reading.prediction is not None:
            verdict = "positive" if reading.prediction == positive else "negative"
        self.verdicts.labels(verdict, reading.certainty).inc()
        for stage, milliseconds in reading.timing_ms.items():
            self.stage_seconds.labels(stage).observe(milliseconds / 1000.0)

    def text(self) -> tuple[bytes, str]:
        """Return the counts in Prometheus' text format, and its media type."""
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = self._registry
        if self._shared is not None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, str(self._shared))
        return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4


def register(app: Flask, metrics: Metrics) -> None:
    """Count every request when it is answered."""

    @app.after_request
    def count(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else UNKNOWN_ROUTE
        metrics.requests.labels(route, str(response.status_code)).inc()
        metrics.request_seconds.labels(route).observe(perf_counter() - g.began)
        if "error_code" in g:
            metrics.errors.labels(g.error_code).inc()
        return response
