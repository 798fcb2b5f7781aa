"""The app behind a real gunicorn, as documented: responses, damaged models, files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.conftest import missing
from tests.support.serving import (
    PAGE,
    Server,
    model,
    radiograph,
    samples,
    serve,
    token,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def four(tmp_path_factory) -> Iterator[Server]:
    """`gunicorn -w 4` with a model, a limit of 2 MB and little patience."""
    folder = tmp_path_factory.mktemp("four")
    with serve(
        folder,
        "-w",
        "4",
        FRACTURE_MODEL=str(model()),
        FRACTURE_MAX_UPLOAD_MB="2",
        FRACTURE_BODY_SECONDS="2",
    ) as server:
        yield server


def part(content: bytes, name: str = "image.png") -> dict[str, tuple[str, bytes]]:
    return {"file": (name, content)}


def test_every_worker_accepts_the_same_form(four):
    with requests.Session() as browser:
        page = browser.get(four.url, headers=PAGE, timeout=60).text
    sent = []
    for _ in range(20):
        # A new connection each time, so that every worker answers; the cookie is the same.
        answer = requests.post(
            f"{four.url}/predict",
            data={"csrf_token": token(page)},
            files=part(radiograph()),
            headers=PAGE,
            cookies=browser.cookies,
            timeout=60,
        )
        sent.append((answer.status_code, "csrf_failed" in answer.text))
    assert sent == [(200, False)] * 20
    assert len(four.workers()) == 4


def test_a_script_posts_without_a_token(four):
    answer = requests.post(f"{four.url}/predict", files=part(radiograph()), timeout=60)
    assert answer.status_code == 200
    assert answer.json()["image"] == {"width": 240, "height": 320, "format": "png"}


def form(content: bytes) -> bytes:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    return head + content + b"\r\n--x--\r\n"


MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


def test_a_client_that_sends_it_all_sees_the_413(four):
    answer = requests.post(
        f"{four.url}/predict", data=form(bytes(6 * 2**20)), headers=MULTIPART, timeout=60
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_a_chunked_body_over_the_limit_is_413(four):
    def pieces() -> Iterator[bytes]:
        content = form(bytes(6 * 2**20))
        for start in range(0, len(content), 2**16):
            yield content[start : start + 2**16]

    answer = requests.post(f"{four.url}/predict", data=pieces(), headers=MULTIPART, timeout=60)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_a_chunked_body_within_the_limit_is_read(four):
    answer = requests.post(
        f"{four.url}/predict", data=iter([form(radiograph())]), headers=MULTIPART, timeout=60
    )
    assert answer.status_code == 200


def test_curl_sees_the_413_too(four, tmp_path):
    curl = shutil.which("curl")
    if curl is None:
        missing("there is no curl on this machine")
    large = tmp_path / "large.png"
    large.write_bytes(bytes(6 * 2**20))
    done = subprocess.run(
        [curl, "-sS", "-F", f"file=@{large}", f"{four.url}/predict"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout)["error"]["code"] == "too_large"


def test_a_client_that_stops_sending_gets_408(four):
    with socket.create_connection(("127.0.0.1", four.port), timeout=30) as client:
        client.sendall(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
        )
        began = time.monotonic()
        answer = ""
        while '"timeout"' not in answer and (piece := client.recv(65536)):  # headers may come first
            answer += piece.decode()
        assert time.monotonic() - began < 15
    assert answer.startswith("HTTP/1.1 408 ")
    assert '"timeout"' in answer


def test_a_slow_line_that_goes_on_is_answered(four):
    def pieces() -> Iterator[bytes]:
        content = form(radiograph())
        assert len(content) > 20_000
        for start in range(0, len(content), 5000):
            time.sleep(0.6)
            yield content[start : start + 5000]

    began = time.monotonic()
    answer = requests.post(f"{four.url}/predict", data=pieces(), headers=MULTIPART, timeout=60)
    assert answer.status_code == 200
    assert time.monotonic() - began > 2, "longer than the server lets an upload pause"


def test_a_connection_outlives_an_upload(four):
    with requests.Session() as client:
        for _ in range(3):
            answer = client.post(f"{four.url}/predict", files=part(radiograph()), timeout=60)
            assert answer.status_code == 200
            refused = client.post(f"{four.url}/nothing", data=b"x" * 10_000, timeout=60)
            assert refused.status_code == 404


def _half_sent(server: Server) -> socket.socket:
    """Begin an upload of more than the memory takes, and wait until it has been spooled."""
    client = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    client.sendall(
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1900000\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" + form(bytes(1_500_000))[:-9]
    )
    return client


def _spooling(server: Server, folder: Path) -> int:
    """Find the worker that has a file of the folder open, in /proc."""
    for _ in range(100):
        for worker in server.workers():
            for link in Path(f"/proc/{worker}/fd").iterdir():
                try:
                    if str(link.readlink()).startswith(f"{folder}/"):
                        return worker
                except FileNotFoundError:
                    continue
        time.sleep(0.02)
    raise AssertionError("no worker spools the upload")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_killed_worker_leaves_no_file(four):
    folder = Path(four.log.parent / "uploads")
    with _half_sent(four):
        worker = _spooling(four, folder)
        assert os.listdir(folder) == [], "the file has no name even while it is written"
        os.kill(worker, signal.SIGKILL)
    assert os.listdir(folder) == []
    for _ in range(300):
        if len(four.workers()) == 4 and worker not in four.workers():
            break
        time.sleep(0.1)
    answer = requests.post(f"{four.url}/predict", files=part(radiograph()), timeout=90)
    assert answer.status_code == 200


def test_the_log_has_no_names_or_addresses(four):
    requests.post(
        f"{four.url}/predict?patient=schmidt", files=part(radiograph(), "schmidt.png"), timeout=60
    )
    time.sleep(0.2)
    written = four.log.read_text()
    assert "schmidt" not in written
    requests_logged = [json.loads(line) for line in written.splitlines() if '"request"' in line]
    assert any(line["route"] == "/predict" and line["status"] == 200 for line in requests_logged)


def _damage(folder: Path, damage: str) -> None:
    """Put a damaged model into a folder."""
    path = folder / "best_model.h5"
    content = bytearray(model().read_bytes())
    if damage == "truncated":
        del content[len(content) // 2 :]
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
    path.write_bytes(content)
    if damage != "without sidecar":
        shutil.copy(model().with_suffix(".json"), path.with_suffix(".json"))


def test_a_damaged_model_leaves_the_worker_alive(tmp_path):
    path = tmp_path / "best_model.h5"
    with serve(tmp_path, "-w", "1", ready="/healthz", FRACTURE_MODEL=str(path)) as server:
        worker = server.workers()
        codes = {}
        for damage in ("missing", "without sidecar", "truncated", "flipped"):
            if damage != "missing":
                _damage(tmp_path, damage)
            ready = requests.get(f"{server.url}/readyz", timeout=60)
            assert ready.status_code == 503
            assert "Retry-After" in ready.headers
            answer = requests.post(f"{server.url}/predict", files=part(radiograph()), timeout=60)
            assert (answer.status_code, answer.json()) == (503, ready.json())
            codes[damage] = ready.json()["error"]["code"]
        assert codes.pop("missing") == "model_missing"
        assert set(codes.values()) == {"bundle_error"}
        for name in os.listdir(model().parent):
            if name.startswith("best_model"):
                shutil.copy(model().parent / name, tmp_path)
        assert requests.get(f"{server.url}/readyz", timeout=60).status_code == 200
        assert server.workers() == worker


def test_preload_does_not_hang(tmp_path):
    with serve(tmp_path, "-w", "2", "--preload", FRACTURE_MODEL=str(model())) as server:
        answer = requests.post(f"{server.url}/predict", files=part(radiograph()), timeout=60)
        assert answer.status_code == 200
        # The app was made before the fork; each worker counts for itself all the same.
        for _ in range(300):
            found = samples(requests.get(f"{server.url}/metrics", timeout=60).text)
            if found["fracture_model_ready",] == 2:
                break
            time.sleep(0.1)
        assert found["fracture_model_ready",] == 2
        assert found["fracture_requests_total", "/predict", "200"] == 1
