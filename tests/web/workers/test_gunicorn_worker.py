"""Requests that gunicorn refuses before the app: JSON, and nothing of them in the log."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest
import requests

from tests.support.serving import Server, exchange, serve
from utils.web.middleware.security import HEADERS

pytestmark = pytest.mark.slow

GOOD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


CHUNKED = (
    b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\n\r\n5\r\n--x\r\n\r\n"
)


# What is sent; status and code of the response.
REFUSED = {
    "no method": (b"schmidt\r\n\r\n", 400, "bad_request"),
    "a bad version": (b"GET /schmidt HTTP/schmidt\r\n\r\n", 400, "bad_request"),
    "a bad header": (
        b"GET / HTTP/1.1\r\nHost: x\r\nSchmidt Maria: schmidt\r\n\r\n",
        400,
        "bad_request",
    ),
    "markup": (b"GET /<b>schmidt</b> HTP/1.1\r\n\r\n", 400, "bad_request"),
    "a long address": (
        b"GET /schmidt" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n",
        414,
        "address_too_long",
    ),
    "a long header": (
        b"GET / HTTP/1.1\r\nHost: x\r\nCookie: schmidt" + b"a" * 9000 + b"\r\n\r\n",
        431,
        "headers_too_large",
    ),
    "many headers": (
        b"GET / HTTP/1.1\r\n"
        + b"".join(b"schmidt%d: 1\r\n" % number for number in range(80))
        + b"\r\n",
        431,
        "headers_too_large",
    ),
    "a coding": (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: schmidt\r\n\r\n",
        501,
        "unsupported_coding",
    ),
    "an expectation": (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nExpect: schmidt\r\n\r\n",
        417,
        "expectation_failed",
    ),
    "a bad chunk": (CHUNKED + b"schmidt\r\n\r\n", 400, "bad_request"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("errors")
    with serve(
        folder,
        *("-w", "1"),
        ready="/healthz",
        FRACTURE_MODEL=str(folder / "none.h5"),
        FRACTURE_LOG_LEVEL="debug",
    ) as started:
        yield started


@pytest.mark.parametrize("kind", REFUSED)
def test_a_raw_error_is_json_and_repeats_nothing(server, kind):
    sent, status, code = REFUSED[kind]
    _, (given, headers, body) = exchange(server.port, GOOD, sent)
    assert (given, json.loads(body)["error"]["code"]) == (status, code)
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert {name: headers[name.lower()] for name in HEADERS} == HEADERS
    assert b"schmidt" not in body.lower()


def test_the_log_repeats_nothing_of_a_bad_request(server):
    before = server.log.read_text()
    for sent, _, _ in REFUSED.values():
        exchange(server.port, GOOD, sent)
    # Ends in the middle of a header, which gunicorn notes at the level "debug".
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET /schmidt HTTP/1.1\r\nSchm")
    time.sleep(0.3)
    written = server.log.read_text().removeprefix(before)
    assert "schmidt" not in written.lower()
    assert "schm" not in written.lower()
    assert "127.0.0.1" not in written
    assert "Traceback" not in written
    lines = [json.loads(line) for line in written.splitlines()]
    refused = [line for line in lines if line["event"].startswith("refused a request")]
    # All but the chunk, which the app itself refused.
    assert len(refused) == len(REFUSED) - 1
    assert all("request_id" not in line for line in refused)
    ids = [line["request_id"] for line in lines if line["event"] == "request"]
    assert len(ids) == len(set(ids)) == len(REFUSED) + 1


def test_an_unclosed_client_delays_nobody(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as idle:
        idle.sendall(b"schmidt\r\n\r\n")
        assert idle.recv(9).startswith(b"HTTP/1.1 ")
        slowest = 0.0
        for _ in range(25):
            began = time.monotonic()
            assert requests.get(f"{server.url}/healthz", timeout=20).status_code == 200
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.1)
    assert slowest < 1.0


def test_another_worker_class_logs_no_request(tmp_path):
    with serve(
        tmp_path,
        *("-w", "1", "-k", "gthread"),
        ready="/healthz",
        FRACTURE_MODEL=str(tmp_path / "none.h5"),
    ) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
            client.sendall(GOOD)
            client.recv(4096)
            client.sendall(b"schmidt\r\n\r\n")
            client.recv(4096)
        time.sleep(0.3)
        written = server.log.read_text()
    assert '"Invalid request"' in written
    assert "schmidt" not in written
    assert "127.0.0.1:" not in written.replace(f"127.0.0.1:{server.port}", "")
    assert "ip=" not in written
