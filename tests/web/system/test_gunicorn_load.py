"""Several workers behind a real gunicorn: counted together, bounded, stopped and killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests
from joblib import cpu_count

from tests.support.pictures import encode
from tests.support.processes import until
from tests.support.serving import Server, model, radiograph, samples, serve
from utils.web.workers.cpu_share import share_of
from utils.web.workers.prometheus_folder import MEMORY, PREFIX

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not sys.platform.startswith("linux"), reason="looks into /proc and counts signals"
    ),
]


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Iterator[Server]:
    """Gunicorn without a flag but the address: two workers."""
    with serve(tmp_path_factory.mktemp("two"), FRACTURE_MODEL=str(model())) as server:
        until(lambda: counted(server)["fracture_model_ready",] == 2)
        yield server


def post(server: Server, content: bytes | None = None, path: str = "/predict") -> requests.Response:
    # A connection each, so that both workers answer.
    return requests.post(
        server.url + path, files={"file": ("a", content or radiograph())}, timeout=60
    )


def counted(server: Server) -> dict[tuple[str, ...], float]:
    return samples(requests.get(f"{server.url}/metrics", timeout=60).text)


def folder(worker: int) -> Path:
    """The folder in which a worker counts."""
    (file,) = MEMORY.glob(f"{PREFIX}*/counter_{worker}.db")
    return file.parent


def lines(server: Server) -> list[dict[str, object]]:
    return [json.loads(line) for line in server.log.read_text().splitlines()]


def slow() -> bytes:
    """A radiograph that takes some tenths of a second to read: noise, which is slow to unpack."""
    noise = np.random.default_rng(0).random((2000, 2000), dtype=np.float32)
    return encode(noise)


def test_two_workers_share_the_cores(two):
    assert len(two.workers()) == 2
    share = share_of(cpu_count(), 2)
    ready = [line for line in lines(two) if str(line["event"]).startswith("the model is ready")]
    assert [line["event"] for line in ready] == [
        f"the model is ready: {share.threads} threads, {share.lone_threads} for a lone radiograph, "
        f"{share.concurrency} radiographs at a time"
    ] * 2


def test_all_workers_are_counted_together(two):
    before = counted(two)
    for _ in range(12):
        assert post(two).status_code == 200
    for number in range(6):
        assert post(two, b"no picture").status_code == 415
        assert requests.get(f"{two.url}/patients/schmidt{number}", timeout=60).status_code == 404
    found = [counted(two) for _ in range(6)]

    def grown(*name: str) -> set[float]:
        return {one.get(name, 0) - before.get(name, 0) for one in found}

    assert grown("fracture_requests_total", "/predict", "200") == {12}
    assert grown("fracture_requests_total", "/predict", "415") == {6}
    assert grown("fracture_requests_total", "other", "404") == {6}
    assert grown("fracture_errors_total", "unsupported_format") == {6}
    assert grown("fracture_request_seconds_count", "/predict") == {18}
    assert grown("fracture_stage_seconds_count", "model") == {12}
    assert (
        sum(value for name, value in found[0].items() if name[0] == "fracture_verdicts_total")
        - sum(value for name, value in before.items() if name[0] == "fracture_verdicts_total")
        == 12
    )
    assert not any("schmidt" in part for one in found for name in one for part in name)
    assert len({folder(worker) for worker in two.workers()}) == 1, "both workers have answered"


def test_a_killed_worker_is_replaced_in_seconds(two):
    before = counted(two)
    assert before["fracture_model_ready",] == 2
    killed, other = two.workers()
    os.kill(killed, signal.SIGKILL)
    began = time.monotonic()
    ready_workers = []
    while killed in two.workers() or ready_workers[-1:] != [2]:
        assert time.monotonic() - began < 30
        assert post(two).status_code == 200
        ready_workers.append(counted(two)["fracture_model_ready",])
    assert other in two.workers()
    assert max(ready_workers) == 2, "the gauges of the killed worker are gone"
    after = counted(two)
    name = ("fracture_requests_total", "/predict", "200")
    assert after[name] == before[name] + len(ready_workers), "its counters are not"


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Iterator[Server]:
    """One worker that reads one radiograph at a time and lets six wait."""
    with serve(
        tmp_path_factory.mktemp("one"),
        "-w",
        "1",
        FRACTURE_MODEL=str(model()),
        FRACTURE_QUEUE="6",
        FRACTURE_CONCURRENCY="1",
    ) as server:
        yield server


def half_sent(server: Server) -> tuple[socket.socket, bytes]:
    """Begin an upload, and return the connection and the rest."""
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    body += radiograph() + b"\r\n--x--\r\n"
    head = (
        "POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n"
    ).encode()
    client = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    client.sendall(head + body[:1000])
    return client, body[1000:]


def test_a_full_worker_still_answers_probes(one):
    uploads = [half_sent(one) for _ in range(7)]
    until(lambda: counted(one)["fracture_places_taken",] == 7)
    began = time.monotonic()
    refused = [post(one) for _ in range(5)]
    probes = [requests.get(one.url + path, timeout=60) for path in ("/healthz", "/readyz", "/")]
    assert time.monotonic() - began < 5
    assert {answer.status_code for answer in refused} == {503}
    assert {answer.json()["error"]["code"] for answer in refused} == {"overloaded"}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    assert [probe.status_code for probe in probes] == [200] * 3
    for client, rest in uploads:
        client.sendall(rest)
    for client, _ in uploads:
        with client, client.makefile("rb") as answer:
            assert answer.readline() == b"HTTP/1.1 200 OK\r\n"
    assert post(one).status_code == 200


def test_an_open_connection_makes_nobody_wait(one):
    lingering = []
    try:
        for _ in range(4):
            client = socket.create_connection(("127.0.0.1", one.port), timeout=30)
            lingering.append(client)
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.recv(15) == b"HTTP/1.1 200 OK"
        began = time.monotonic()
        assert requests.get(f"{one.url}/healthz", timeout=60).status_code == 200
        assert time.monotonic() - began < 1.5
    finally:
        for client in lingering:
            client.close()


def test_a_stop_answers_all_accepted_requests(one):
    counts = folder(one.workers()[0])
    content = slow()
    with ThreadPoolExecutor(7) as clients:
        answers = [clients.submit(post, one, content) for _ in range(7)]
        until(lambda: counted(one)["fracture_queue_waiting",] >= 4)
        assert counted(one)["fracture_reading",] == 1
        one.process.send_signal(signal.SIGTERM)
        assert [answer.result().status_code for answer in answers] == [200] * 7
    assert one.process.wait(60) == 0
    assert not counts.exists()
    with serve(one.log.parent, "-w", "1", FRACTURE_MODEL=str(model())) as again:
        assert ("fracture_requests_total", "/predict", "200") not in counted(again)


def test_the_log_line_has_the_answers_timing(two):
    answer = post(two)
    found: list[dict[str, object]] = []

    def logged() -> bool:
        found[:] = [
            line for line in lines(two) if line.get("request_id") == answer.headers["X-Request-ID"]
        ]
        return bool(found)

    until(logged)
    (line,) = found
    parts = line["timing_ms"]
    assert isinstance(parts, dict)
    assert parts == answer.json()["timing_ms"]
    assert sum(parts.values()) < float(str(line["duration_ms"])) + 1


def test_slow_uploads_leave_a_thread_for_probes(two):
    uploads = [half_sent(two) for _ in range(150)]
    try:
        # More than both workers have slots for, so one is full at least.
        until(lambda: counted(two)["fracture_places_taken",] >= 66)
        assert requests.get(f"{two.url}/healthz", timeout=10).status_code == 200
        assert requests.get(f"{two.url}/readyz", timeout=10).status_code == 200
    finally:
        for client, _ in uploads:
            client.close()
