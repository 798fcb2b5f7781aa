"""What /metrics counts in one process; tests/web/test_gunicorn_load.py asks several."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import running
from tests.support.serving import PAGE, ROOT, model, radiograph, samples, send, settings
from utils.inference.predictor import load_predictor
from utils.web.app import create_app
from utils.web.metrics import Metrics
from utils.web.workers import prometheus_folder


@pytest.fixture
def app(tmp_path) -> Flask:
    """An app of its own, so that the counts begin at zero."""
    return create_app(settings(tmp_path, model=model()))


def counted(app: Flask) -> dict[tuple[str, ...], float]:
    return samples(app.test_client().get("/metrics").text)


def test_each_request_is_counted_by_route_and_status(app):
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


def test_a_reading_is_counted_with_its_steps_and_verdict(app):
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


def test_a_withheld_reading_has_no_verdict():
    reading = load_predictor(model()).read(radiograph())
    metrics = Metrics()
    metrics.count_prediction(
        replace(reading, prediction=None, certainty="withheld"), "Fracture Detected"
    )
    assert samples(metrics.text().decode())["fracture_verdicts_total", "withheld", "none"] == 1


def test_what_callers_send_adds_no_label(app):
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


def test_the_text_is_prometheus_own_and_kept_nowhere(app):
    answer = app.test_client().get("/metrics")
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert all(
        family.documentation.endswith(".") for family in text_string_to_metric_families(answer.text)
    )


def test_the_table_in_the_documents_is_what_is_counted(app):
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


def run(program: str, folder: Path, **changes: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        cwd=ROOT,
        env={**os.environ, **changes},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.strip()


SHARE = """
import os, sys
from pathlib import Path
from utils.web.workers import prometheus_folder
made = prometheus_folder.create(Path(sys.argv[1]))
assert prometheus_folder.create(Path(sys.argv[1])) == made == prometheus_folder.current()
assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(made)
assert os.listdir(made) == [] and made.stat().st_mode & 0o777 == 0o700
print(made, flush=True)
"""


def test_the_folder_of_the_counts_goes_with_its_server_but_not_with_a_fork(tmp_path):
    fork = (
        "child = os.fork()\nif child == 0: sys.exit()\nos.waitpid(child, 0)\nprint(made.is_dir())"
    )
    made, left = run(SHARE + fork, tmp_path).split("\n")
    assert left == "True"
    assert Path(made).parent == tmp_path
    assert os.listdir(tmp_path) == []


def test_the_next_start_removes_what_a_killed_server_left_and_nothing_that_is_used(tmp_path):
    killed = Path(run(SHARE + "os._exit(0)", tmp_path))
    (killed / "counter_1.db").write_bytes(b"old")
    young = tmp_path / f"{prometheus_folder.PREFIX}young"
    young.mkdir()
    target = tmp_path / "elsewhere"
    target.mkdir()
    (tmp_path / f"{prometheus_folder.PREFIX}link").symlink_to(target)
    with running(
        [sys.executable, "-c", SHARE + "input()", str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        used = Path(other.stdout.readline().strip())
        long_ago = time.time() - 2 * prometheus_folder.YOUNG_SECONDS
        for folder in (killed, used, target):
            os.utime(folder, (long_ago, long_ago))
        run(SHARE, tmp_path)
        assert not killed.exists()
        assert used.is_dir()
        assert young.is_dir()
        assert target.is_dir()


def test_a_folder_that_the_environment_names_is_not_used(tmp_path):
    program = "import app, os; print(os.environ.get('PROMETHEUS_MULTIPROC_DIR'))"
    changes = {
        "FRACTURE_UPLOAD_FOLDER": str(tmp_path / "uploads"),
        "FRACTURE_INSTANCE_FOLDER": str(tmp_path / "instance"),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "none"),
    }
    assert run(program, tmp_path, **changes) == "None"
