"""What a server refuses before the app: JSON with the site's headers, and nothing of it in the log."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator

import pytest
import requests

from tests.support.serving import Server, listen, serve, settings
from utils.web.app import create_app
from utils.web.middleware.security import HEADERS
from utils.web.workers.raw_errors import JsonErrorHandler

GOOD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = (
    b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\n\r\n5\r\n--x\r\n\r\n"
)
# The line, what it is answered with.
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
    folder = tmp_path_factory.mktemp("refusals")
    with serve(
        folder,
        *("-w", "1"),
        ready="/healthz",
        FRACTURE_MODEL=str(folder / "none.h5"),
        FRACTURE_LOG_LEVEL="debug",
    ) as started:
        yield started


def ask(port: int, *requests_sent: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """Send each over one connection once the one before is answered, and read all the answers."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        stream = client.makefile("rb")
        answers = []
        for sent in requests_sent:
            client.sendall(sent)
            status = int(stream.readline().split()[1])
            headers = {}
            while line := stream.readline().strip():
                name, _, value = line.decode().partition(": ")
                headers[name.lower()] = value
            answers.append((status, headers, stream.read(int(headers["content-length"]))))
        client.shutdown(socket.SHUT_WR)
        assert stream.read() == b"", "nothing follows the answer"
    return answers


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refusal_is_json_with_the_sites_headers_and_repeats_nothing(server, kind):
    sent, status, code = REFUSED[kind]
    _, (given, headers, body) = ask(server.port, GOOD, sent)
    assert (given, json.loads(body)["error"]["code"]) == (status, code)
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert {name: headers[name.lower()] for name in HEADERS} == HEADERS
    assert b"schmidt" not in body.lower()


def test_a_refusal_is_logged_without_the_client_or_its_words_or_another_requests_id(server):
    before = server.log.read_text()
    for sent, _, _ in REFUSED.values():
        ask(server.port, GOOD, sent)
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


def test_a_client_that_does_not_close_after_its_refusal_holds_up_nobody(server):
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


def test_another_worker_class_repeats_nothing_of_a_request_in_the_log(tmp_path):
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


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (REFUSED["no method"][0], 400),
        (REFUSED["a bad version"][0], 400),
        # As much as the server reads of a line, and no more: what is left unread would reset the connection.
        ((b"GET /schmidt").ljust(65_537, b"a"), 414),
        (b"GET / HTTP/1.1\r\n" + b"Cookie: schmidt".ljust(65_537, b"a"), 431),
    ],
    ids=["line", "version", "address", "header"],
)
def test_app_py_refuses_in_the_same_way(tmp_path, caplog, capfd, sent, status):
    caplog.set_level(logging.DEBUG)
    with listen(create_app(settings(tmp_path)), request_handler=JsonErrorHandler) as url:
        ((given, headers, body),) = ask(int(url.rsplit(":", 1)[1]), sent)
    assert given == status
    assert headers["content-type"] == "application/json"
    assert {name: headers[name.lower()] for name in HEADERS} == HEADERS
    assert set(json.loads(body)["error"]) == {"code", "message"}
    assert "schmidt" not in (body.decode() + caplog.text + "".join(capfd.readouterr())).lower()
