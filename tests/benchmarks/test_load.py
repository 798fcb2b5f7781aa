"""Load client: unique requests, outcomes, latencies, CPU time."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import numpy as np
import pytest
from flask import Flask, request
from PIL import Image

from benchmarks.load import OK, Answered, Load, summary, with_comment
from tests.support.pictures import draw_radiograph, encode
from tests.support.processes import ROOT
from utils.errors import InputError
from utils.formats import decode


class _Threading(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class _Silent(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class Site:
    """A small site that counts what it is sent, and refuses every third request."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.app = Flask("site")
        self.app.post("/predict")(self.predict)
        self.app.post("/empty")(lambda: {})
        self.server = make_server("127.0.0.1", 0, self.app, _Threading, _Silent)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def predict(self) -> tuple[dict[str, object], int]:
        self.bodies.append(request.files["file"].read())
        if len(self.bodies) % 3 == 0:
            return {"error": {}}, 503
        return {"prediction": "Normal", "timing_ms": {"model": 1.0}}, 200


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever, args=(0.01,))
    thread.start()
    yield site
    site.server.shutdown()
    thread.join()
    site.server.server_close()


def picture(format: str = "JPEG") -> bytes:
    return encode(draw_radiograph(48, 36), format)


def send(load: Load, seconds: float) -> None:
    for thread in load.start(time.monotonic() + seconds):
        thread.join()


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_a_comment_changes_bytes_but_no_pixel(format):
    plain = picture(format)
    made = [with_comment(plain, f"{number}".encode()) for number in range(3)]
    assert len({plain, *made}) == 4
    for one in made:
        np.testing.assert_array_equal(decode(one).pixels, decode(plain).pixels)
        with Image.open(io.BytesIO(one)) as opened:
            opened.verify()


def test_a_file_that_takes_no_comment_is_refused():
    with pytest.raises(InputError, match="JPEG or a PNG"):
        with_comment(b"BM" + bytes(100), b"1")


@pytest.mark.slow
def test_each_request_is_counted_by_its_outcome(site):
    load = Load(f"{site.url}/predict", [picture()], clients=4)
    send(load, 0.7)
    outcomes = [one.outcome for one in load.answered]
    assert len(outcomes) == len(site.bodies) > 8
    assert outcomes.count("503") == len(site.bodies) // 3
    assert outcomes.count(OK) + outcomes.count("503") == len(outcomes)


def test_no_two_requests_carry_the_same_bytes(site):
    for _ in range(2):
        send(Load(f"{site.url}/predict", [picture(), picture("PNG")], clients=3), 0.3)
    assert len(set(site.bodies)) == len(site.bodies) > 6


def test_an_answer_without_a_prediction_is_no_success(site):
    assert Load(f"{site.url}/empty", [picture()]).once().outcome == "200 without a prediction"


def test_an_absent_server_is_a_counted_outcome(site):
    load = Load("http://127.0.0.1:9/predict", [picture()], timeout=1)
    assert load.once().outcome == "ConnectionRefusedError"
    assert len(load.answered) == 1


def test_clients_stop_on_request(site):
    load = Load(f"{site.url}/predict", [picture()], clients=2)
    threads = load.start(time.monotonic() + 60)
    load.stopped.set()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)


def test_only_successes_inside_the_window_are_timed():
    answered = [
        Answered(0.0, 1.0, OK),  # ended before it
        Answered(9.0, 10.5, OK),
        Answered(10.6, 11.0, OK),
        Answered(11.0, 11.1, "503"),
        Answered(18.0, 20.5, OK),  # ended after it
    ]
    found = summary(answered, 10.0, 20.0)
    assert found["latencies_ms"] == [1500.0, 400.0]
    assert (found["sent"], found["answered"], found["seconds"]) == (5, 2, 10.0)
    assert found["outcomes"] == {"200": 4, "503": 1}


@pytest.mark.slow
def test_the_client_reports_cpu_time_of_both_sides(site, tmp_path):
    (tmp_path / "a.jpg").write_bytes(picture())
    done = subprocess.run(
        [
            *(sys.executable, "benchmarks/load.py", f"{site.url}/predict", tmp_path / "a.jpg"),
            *("--clients=2", "--warm=0.2", "--seconds=0.6", f"--server={os.getpid()}"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["sent"] == len(site.bodies) == sum(found["outcomes"].values())
    assert found["clients"] == 2
    assert 0 < found["cores"]["client"] < 4
    # The site runs in this process.
    assert 0 < found["cores"]["server"] < 64
