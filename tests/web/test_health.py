"""Health probes."""

from __future__ import annotations

from tests.support.serving import settings, shared_app
from utils.web.app import create_app


def test_healthz_needs_no_model(tmp_path):
    client = create_app(settings(tmp_path)).test_client()
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.get("/readyz").status_code == 503


def test_a_ready_server_names_its_model(client):
    answer = client.get("/readyz")
    bundle = shared_app().extensions["predictor_service"].predictor().bundle
    assert answer.status_code == 200
    assert answer.json == {
        "status": "ready",
        "model": {"architecture": "custom", "sha256": bundle.sha256},
    }
