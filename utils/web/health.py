"""Blueprint of the health probes: ``GET /healthz`` and ``GET /readyz``."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from utils.web.service import current_service

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Answer that the process is alive."""
    return jsonify({"status": "ok"})


@blueprint.get("/readyz")
def readyz() -> Response:
    """Answer that the model has passed its self-test, or raise the reason why not."""
    bundle = current_service().predictor(wait=False).bundle
    return jsonify(
        {
            "status": "ready",
            "model": {"architecture": bundle.architecture, "sha256": bundle.sha256},
        }
    )
