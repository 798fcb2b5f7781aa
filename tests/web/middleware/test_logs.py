"""JSON log lines: enough to find an error, nothing about a patient."""

from __future__ import annotations

import io
import json
import logging

import pytest

from tests.support.serving import radiograph, send, settings, shared_app
from utils.web.app import create_app
from utils.web.middleware import logs


@pytest.fixture
def lines():
    """What is logged from now on, as a function that returns the lines since its last call."""
    shared_app()
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    logs.configure("info")
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    stream = io.StringIO()
    handler.setStream(stream)

    def read() -> list[dict[str, object]]:
        written = stream.getvalue().splitlines()
        stream.seek(0)
        stream.truncate()
        return [json.loads(line) for line in written]

    yield read
    root.setLevel(before[0])
    root.handlers[:] = before[1]


def test_a_request_is_one_line(lines):
    answer = send(shared_app().test_client(), radiograph())
    (line,) = lines()
    assert line["event"] == "request"
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert (line["method"], line["route"], line["status"]) == ("POST", "/predict", 200)
    assert line["error"] is None
    assert 0 < float(str(line["duration_ms"])) < 60_000


def test_the_line_has_the_timing_and_no_result(lines):
    answer = send(shared_app().test_client(), radiograph())
    (line,) = lines()
    assert line["timing_ms"] == answer.json["timing_ms"]
    assert {"receive", "queue", "decode", "model"} <= set(answer.json["timing_ms"])
    written = json.dumps(line)
    for field in ("prediction", "certainty", "label_meaning"):
        assert answer.json[field] not in written
    assert str(answer.json["probability"]) not in written


def test_a_refused_request_has_its_code(lines):
    send(shared_app().test_client(), b"no picture")
    (line,) = lines()
    assert (line["status"], line["error"]) == (415, "unsupported_format")


def test_no_name_address_or_header_is_logged(lines):
    client = shared_app().test_client()
    send(client, radiograph(), name="schmidt_maria.png", query="?overlay=1&patient=schmidt")
    client.get("/schmidt/maria", headers={"User-Agent": "schmidt", "X-Request-ID": "schmidt"})
    client.open("/", method="SCHMIDT")
    written = json.dumps(lines())
    assert "schmidt" not in written.lower()
    assert '"route": "none"' in written


def test_every_request_has_an_id_of_its_own():
    client = shared_app().test_client()
    ids = {client.get("/healthz").headers["X-Request-ID"] for _ in range(20)}
    assert len(ids) == 20


def test_later_lines_carry_no_request_id(lines):
    shared_app().test_client().get("/healthz")
    logging.getLogger("gunicorn.error").warning("later")
    request, later = lines()
    assert "request_id" in request
    assert "request_id" not in later


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Invalid request from ip=10.1.2.3: Invalid HTTP request line: 'sch'", "Invalid request"),
        ("Error handling request GET /sch", "Error handling request"),
        (
            "Ignored premature client disconnection. No more data after: b'sch'",
            "Ignored premature client disconnection",
        ),
        ("Booting worker with pid: 7", "Booting worker with pid: 7"),
    ],
)
def test_gunicorn_lines_end_before_the_request(lines, written, kept):
    gunicorn = logging.getLogger("gunicorn.error")
    only = logs.WithoutRequests()
    gunicorn.addFilter(only)
    try:
        gunicorn.error(written)
    finally:
        gunicorn.removeFilter(only)
    (line,) = lines()
    assert line["event"] == kept


def test_standard_log_records_are_json(lines):
    logging.getLogger("utils.inference.engines.engine").warning("loaded %s in %d s", "custom", 3)
    (line,) = lines()
    assert line["event"] == "loaded custom in 3 s"
    assert line["logger"] == "utils.inference.engines.engine"


def test_an_exception_is_logged_with_request_id(lines, tmp_path):
    app = create_app(settings(tmp_path))

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("swordfish")

    answer = app.test_client().get("/broken?patient=schmidt")
    trace, line = lines()
    assert "RuntimeError: swordfish" in str(trace["exception"])
    assert trace["request_id"] == line["request_id"] == answer.headers["X-Request-ID"]
    assert "schmidt" not in json.dumps([trace, line])
