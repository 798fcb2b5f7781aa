"""Counts of one process; tests/web/system/test_gunicorn_load.py counts several."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from tests.support.serving import PAGE, ROOT, model, radiograph, samples, send, settings, shared_app
from utils.web.app import create_app
from utils.web.metrics import Metrics


@pytest.fixture
def app(tmp_path) -> Flask:
    """An app of its own, so that the counts begin at zero."""
    return create_app(settings(tmp_path, model=model()))


def counted(app: Flask) -> dict[tuple[str, ...], float]:
    return samples(app.test_client().get("/metrics").text)


def test_requests_are_counted_by_route_and_status(app):
    client = app.test_client()
    for _ in range(3):
        send(client, radiograph())
    send(client, b"no picture")
    client.get("/healthz")
    client.get("/", headers=PAGE)
    found = counted(app)
    assert found["fracture_requests_total", "/predict", "200"] == 3
    assert found["fracture_requests_total", "/predict", "415"] == 1
    assert found["fracture_requests_total", "/healthz", "200"] == 1
    assert found["fracture_requests_total", "/", "200"] == 1
    assert found["fracture_errors_total", "unsupported_format"] == 1
    assert found["fracture_request_seconds_count", "/predict"] == 4
    assert 0 < found["fracture_request_seconds_sum", "/predict"] < 60


def test_a_prediction_is_counted_with_its_stages(app):
    answer = send(app.test_client(), radiograph()).json
    found = counted(app)
    for stage, milliseconds in answer["timing_ms"].items():
        assert found["fracture_stage_seconds_count", stage] == 1
        assert found["fracture_stage_seconds_sum", stage] == pytest.approx(milliseconds / 1000)
    verdict = "negative" if answer["prediction"] == "Normal" else "positive"
    assert found["fracture_verdicts_total", answer["certainty"], verdict] == 1
    assert found["fracture_queue_waiting",] == found["fracture_reading",] == 0


def test_a_model_that_answers_is_named(app):
    assert counted(app)["fracture_model_ready",] == 0
    bundle = app.extensions["predictor_service"].predictor().bundle
    found = counted(app)
    assert found["fracture_model_ready",] == 1
    assert found["fracture_model_info", "custom", "openvino", bundle.sha256] == 1


def test_a_withheld_prediction_has_no_verdict():
    prediction = shared_app().extensions["predictor_service"].predictor().predict(radiograph())
    metrics = Metrics()
    metrics.count_prediction(
        replace(prediction, prediction=None, certainty="withheld"), "Fracture Detected"
    )
    assert samples(metrics.text().decode())["fracture_verdicts_total", "withheld", "none"] == 1


def test_what_clients_send_adds_no_label(app):
    client = app.test_client()
    client.get("/nothing")
    send(client, b"no picture")
    before = set(counted(app)) | set(counted(app))
    for number in range(20):
        client.get(f"/patients/schmidt-{number}")
        client.open("/nothing", method=f"SCHMIDT{number}")
        send(client, b"no picture", name=f"schmidt{number}.png", query=f"?patient=schmidt{number}")
    found = counted(app)
    assert set(found) == before
    assert found["fracture_requests_total", "other", "404"] == 41
    assert "schmidt" not in client.get("/metrics").text


def test_the_text_is_prometheus_and_not_cached(app):
    answer = app.test_client().get("/metrics")
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert all(
        family.documentation.endswith(".") for family in text_string_to_metric_families(answer.text)
    )


def test_the_documented_table_is_what_is_counted(app):
    send(app.test_client(), radiograph())
    send(app.test_client(), b"no picture")
    table = {
        line.split("`")[1]: set(line.split("|")[2].replace("`", "").replace(",", " ").split())
        for line in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `fracture_")
    }
    text = app.test_client().get("/metrics").text
    found = {}
    for family in text_string_to_metric_families(text):
        name = family.name + ("_total" if family.type == "counter" else "")
        found[name] = {label for one in family.samples for label in one.labels} - {"le"}
    assert table == found
