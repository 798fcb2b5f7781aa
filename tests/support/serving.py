"""The app as the tests use it: in this process, or behind a real gunicorn; with a real small model."""

from __future__ import annotations

import io
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import requests
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from config import Settings
from tests.support.bundles import tiny_bundle
from tests.support.pictures import draw_radiograph, encode
from tests.support.processes import ROOT, app_environment, gunicorn
from utils.web.app import create_app

PAGE = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@cache
def shared_folder() -> Path:
    """A folder that lasts as long as the tests."""
    import atexit

    folder = Path(tempfile.mkdtemp(prefix="fracture-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def model() -> Path:
    """A small real bundle, made once."""
    return tiny_bundle(shared_folder())


def settings(folder: Path, **changes: object) -> Settings:
    """Settings whose files all lie in ``folder``; nothing of the environment but what is changed."""
    chosen: dict[str, object] = {
        "model": folder / "none.h5",
        "upload_folder": folder / "uploads",
        "instance_folder": folder / "instance",
        "cache_folder": shared_folder() / "engine",
        **changes,
    }
    return Settings(**chosen)  # type: ignore[arg-type]


@cache
def shared_app() -> Flask:
    """An app with a loaded model, for tests that leave it as it is."""
    app = create_app(settings(shared_folder(), model=model()))
    app.extensions["predictor_service"].predictor()
    return app


@contextmanager
def listen(app: Flask, **options: Any) -> Iterator[str]:
    """Serve an app from a thread of this process until the block ends; yields its URL.

    Args:
        app: what answers.
        options: of werkzeug's ``make_server``.
    """
    server = make_server("127.0.0.1", 0, app, threaded=True, **options)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()


@cache
def radiograph() -> bytes:
    """A drawn radiograph as PNG, large enough for no warning."""
    return encode(draw_radiograph(320, 240, fractured=True))


def send(
    client: FlaskClient,
    content: bytes,
    *,
    name: str = "image.png",
    query: str = "",
    page: bool = False,
) -> TestResponse:
    """Post one file: as a script does, or as a browser with the form's token does."""
    form: dict[str, object] = {"file": (io.BytesIO(content), name)}
    if page:
        form["csrf_token"] = token(client.get("/").text)
    return client.post(f"/predict{query}", data=form, headers=PAGE if page else {})


def token(page: str) -> str:
    """Find the form's token in a page."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found, "the page has no token"
    return found[1]


@dataclass
class Server:
    """A gunicorn that runs."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(number) for number in found.split()]


def environment(folder: Path, changes: Mapping[str, str]) -> dict[str, str]:
    """The variables of a server whose files all lie in ``folder``."""
    # The network is put into the engine's form once for all servers of a run.
    return app_environment(folder, shared_folder() / "engine", changes)


@contextmanager
def serve(
    folder: Path, *flags: str, ready: str = "/readyz", expect: int = 200, **changes: str
) -> Iterator[Server]:
    """Run gunicorn as documented until the block ends.

    Args:
        folder: for the uploads, the key and the log.
        flags: of gunicorn.
        ready, expect: a path, and its status once the server is up.
        changes: FRACTURE_* variables.
    """
    log = folder / "server.log"
    options = {"cwd": ROOT, "env": environment(folder, changes)}
    with gunicorn("app:app", flags, log, seconds=30, **options) as (url, process):
        _answered(url + ready, expect, process, log)
        yield Server(url, process, log)


def _answered(url: str, expect: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 400
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            if requests.get(url, timeout=10).status_code == expect:
                return
        except (requests.ConnectionError, requests.Timeout):
            pass
        time.sleep(0.2)
    raise AssertionError(f"{url} did not answer {expect}: {log.read_text()[-3000:]}")


def exchange(port: int, *messages: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """Send raw requests over one connection, each once the one before is answered.

    Returns:
        Status, headers and body of each response.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        stream = client.makefile("rb")
        responses = []
        for message in messages:
            client.sendall(message)
            status = int(stream.readline().split()[1])
            headers = {}
            while line := stream.readline().strip():
                name, _, value = line.decode().partition(": ")
                headers[name.lower()] = value
            responses.append((status, headers, stream.read(int(headers["content-length"]))))
        client.shutdown(socket.SHUT_WR)
        assert stream.read() == b"", "nothing follows the response"
    return responses


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Read /metrics: by the sample's name and its labels' values, in the order of the labels' names."""
    from prometheus_client.parser import text_string_to_metric_families

    return {
        (one.name, *(value for _, value in sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }
