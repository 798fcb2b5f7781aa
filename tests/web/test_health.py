"""Health probes."""

from __future__ import annotations

from tests.support.serving import shared_app


def test_a_ready_server_names_its_model(client):
    answer = client.get("/readyz")
    bundle = shared_app().extensions["predictor_service"].predictor().bundle
    assert answer.status_code == 200
    assert answer.json == {
        "status": "ready",
        "model": {"architecture": "custom", "sha256": bundle.sha256},
    }
