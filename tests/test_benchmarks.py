"""The benchmarks' own arithmetic and accounting; what they measure stays out of the tests."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import numpy as np
import pytest
from flask import Flask, request
from PIL import Image

from benchmarks import bars, performance
from benchmarks.bars import Bar, Row, as_markdown, as_text, failed
from benchmarks.load import OK, Answered, Load, summary, with_comment
from benchmarks.machine import DISTURBED
from benchmarks.measurements import parts
from benchmarks.quiet import Quiet
from benchmarks.subjects import settings_of
from benchmarks.table import rows
from tests.support.pictures import draw_radiograph, encode
from tests.support.serving import ROOT, model
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
    thread = threading.Thread(target=site.server.serve_forever)
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
def test_a_comment_changes_the_bytes_and_not_the_picture(format):
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


def test_the_load_client_counts_each_request_once_and_by_its_outcome(site):
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


def test_a_server_that_is_not_there_is_a_counted_fault_and_not_a_crash(site):
    load = Load("http://127.0.0.1:9/predict", [picture()], timeout=1)
    assert load.once().outcome == "ConnectionRefusedError"
    assert len(load.answered) == 1


def test_the_clients_stop_when_they_are_told(site):
    load = Load(f"{site.url}/predict", [picture()], clients=2)
    threads = load.start(time.monotonic() + 60)
    load.stopped.set()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)


def test_only_what_ended_well_inside_the_window_is_timed():
    answered = [
        Answered(0.0, 1.0, OK),  # ended before it
        Answered(9.0, 10.5, OK),
        Answered(10.6, 11.0, OK),
        Answered(11.0, 11.1, "503"),
        Answered(18.0, 20.5, OK),  # ended after it
    ]
    told = summary(answered, 10.0, 20.0)
    assert told["latencies_ms"] == [1500.0, 400.0]
    assert (told["sent"], told["answered"], told["seconds"]) == (5, 2, 10.0)
    assert told["outcomes"] == {"200": 4, "503": 1}


def test_the_load_client_tells_of_its_own_cost_and_the_servers(site, tmp_path):
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
    told = json.loads(done.stdout)
    assert told["sent"] == len(site.bodies) == sum(told["outcomes"].values())
    assert told["clients"] == 2
    assert 0 < told["cores"]["client"] < 4
    # The site runs in this process.
    assert 0 < told["cores"]["server"] < 64


@pytest.mark.parametrize(
    "bar, reached, missed",
    [
        (bars.P50, 1 / 12, 1 / 11.9),
        (bars.THROUGHPUT, 12.0, 11.99),
        (bars.SHARE, 0.80, 0.799),
        (bars.MEMORY, 0.4, 0.41),
        (bars.START, 1 / 3, 0.34),
        (bars.FOLDER, 0.85, 0.849),
        (bars.LARGE, 1 / 12, 1 / 11.9),
        (bars.REST, 0.49, 0.5),
        (bars.GROWTH, 0.049, 0.05),
        (bars.TAIL, 9.99, 10.0),
    ],
)
def test_a_bar_holds_up_to_its_limit_and_never_for_what_is_no_number(bar, reached, missed):
    assert bar.holds(reached)
    assert not bar.holds(missed)
    assert not bar.holds(float("nan"))


def table() -> list[Row]:
    bar = Bar("at most", 0.5, "half or less")
    return [
        Row("speed", "1 ms", "4 ms", 0.25, "1/4.0", bar),
        Row("weight", "3 kg", "4 kg", 0.75, "1/1.3", bar),
        Row("colour", "red", "blue", 0.0, ""),
    ]


def test_the_table_names_what_fails_and_only_that():
    assert failed(table()) == ["weight"]
    lines = {line.split()[0]: line for line in as_text(table()).splitlines()[2:]}
    assert lines["speed"].endswith("half or less  holds")
    assert lines["weight"].endswith("half or less  FAILS")
    assert lines["colour"].rstrip().endswith("blue")


def test_a_row_comes_back_from_json_as_it_was():
    again = [Row.of(json.loads(json.dumps(row.as_json()))) for row in table()]
    assert again == table()
    assert as_markdown(again).count("|---") == 6


def figures(**changes: object) -> dict[str, object]:
    """Figures with which every bar just holds."""

    def turn(app: float, recipe: float, rates: tuple[float, float]) -> dict[str, object]:
        return {
            name: {"p50_ms": p50, "p95_ms": p50, "requests_per_second": rate, "faults": 0}
            for name, p50, rate in (("app", app, rates[0]), ("recipe", recipe, rates[1]))
        }

    return {
        "levels": {"1": turn(10, 120, (1, 1)), "4": turn(1, 1, (1, 1)), "16": turn(1, 1, (24, 2))},
        "bare": {"images_per_second": 30.0},
        "memory_mib": {"app": [80.0, 100.0], "recipe": [200.0, 250.0]},
        "starts": {"app": [1.0, 9.0, 1.0], "app_without_cache": [9.0], "recipe": [3.0, 3.0, 3.0]},
        "folder": {"images": 100, "images_per_second": 25.5},
        "large": turn(10, 120, (1, 1)),
        "parts": {"rest_ms": 4.9, "timing_ms": {"model": 10.0}},
        **changes,
    }


def test_the_figures_are_held_against_the_bars_of_their_kind():
    made = rows(figures(), barred=True)
    assert [row.holds for row in made].count(True) == 9
    assert failed(made) == []
    slower = rows(figures(bare={"images_per_second": 30.1}), barred=True)
    assert [name.split()[0] for name in failed(slower)] == ["share", "predict.py"]
    assert all(row.holds is None for row in rows(figures(), barred=False))


def test_what_is_not_the_model_is_the_rest_of_what_the_client_waited_for():
    timings = [{"decode": 1.0, "model": model} for model in (20.0, 30.0, 40.0)]
    runs = [
        {"timings_ms": timings[:1], "latencies_ms": [36.0]},
        {"timings_ms": timings[1:], "latencies_ms": [34.0, 35.0]},
    ]
    told = parts(runs)
    assert (told["p50_ms"], told["rest_ms"]) == (35.0, 5.0)


def test_what_others_disturb_is_measured_again_and_the_quietest_counts():
    quiet = Quiet(patience=60.0, tries=2)
    # Our own work is no disturbance, the child's neither.
    busy = "import time; until = time.monotonic() + 0.5\nwhile time.monotonic() < until: pass"
    calls = []

    def measure() -> int:
        calls.append(subprocess.run([sys.executable, "-c", busy], check=True).returncode)
        return len(calls)

    made = quiet.measure(measure)
    assert 1 <= made <= len(calls) <= 2
    assert len(quiet.disturbance) == 1
    assert (len(calls) == 1) == (quiet.disturbance[0] <= DISTURBED) or made < 2


def test_a_section_of_the_document_is_replaced_and_nothing_else():
    text = "before\n<!-- a: generated -->\nold\n<!-- a: end -->\nafter\n"
    made = performance.filled(text, "a", r"new \1")
    assert made == "before\n<!-- a: generated -->\nnew \\1\n<!-- a: end -->\nafter\n"
    assert performance.filled(made, "a", r"new \1") == made
    with pytest.raises(ValueError, match="no section"):
        performance.filled(text, "b", "new")


def test_the_document_has_every_section():
    text = performance.DOCUMENT.read_text(encoding="utf-8")
    for name in performance.SECTIONS:
        performance.filled(text, name, "")


def test_settings_are_told_from_other_words():
    assert settings_of(["FRACTURE_THREADS=2"]) == {"FRACTURE_THREADS": "2"}
    for wrong in ("THREADS=2", "FRACTURE_THREADS"):
        with pytest.raises(InputError):
            settings_of([wrong])


# The recipe loads its model when it is imported, so it is asked in a process of its own.
ASK = """
import io, json, sys
sys.path.insert(0, "benchmarks")
import recipe
answer = recipe.app.test_client().post(
    "/predict", data={"file": (io.BytesIO(open(sys.argv[1], "rb").read()), "a")}
)
print(json.dumps(answer.get_json()))
"""


def test_the_recipe_answers_with_the_probability_of_the_same_weights(tmp_path):
    from utils.inference.predictor import load_predictor

    # A square, so that the recipe's squeezing and our letterbox give the network the same picture.
    content = encode(draw_radiograph(64, 64), "PNG")
    (tmp_path / "a.png").write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", ASK, tmp_path / "a.png"],
        cwd=ROOT,
        env={**os.environ, "RECIPE_MODEL": str(model())},
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    ours = load_predictor(Path(model()), engine="tensorflow").predict(content, pictures=False)
    assert told["prediction"] == ours.prediction
    assert told["confidence"] == pytest.approx(ours.confidence, abs=1e-4)
    kind, _, overlay = told["overlay"].partition(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(overlay))) as opened:
        assert opened.size == (64, 64)
        assert opened.mode == "RGB"
