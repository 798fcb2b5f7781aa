"""The app as the tests use it: in this process, or behind a real gunicorn; with a real small model."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import requests
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from config import Settings
from tests.bundles import tiny_bundle
from tests.pictures import draw_radiograph, encode
from utils.web import create_app

ROOT = Path(__file__).resolve().parents[1]
PAGE = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@cache
def workplace() -> Path:
    """A folder that lasts as long as the tests."""
    import atexit

    folder = Path(tempfile.mkdtemp(prefix="fracture-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def model() -> Path:
    """A small real bundle, made once."""
    return tiny_bundle(workplace())


def settings(folder: Path, **changes: object) -> Settings:
    """Settings whose files all lie in ``folder``; nothing of the environment but what is changed."""
    chosen: dict[str, object] = {
        "model": folder / "none.h5",
        "upload_folder": folder / "uploads",
        "instance_folder": folder / "instance",
        "cache_folder": workplace() / "engine",
        **changes,
    }
    return Settings(**chosen)  # type: ignore[arg-type]


@cache
def shared_app() -> Flask:
    """An app with a loaded model, for tests that leave it as it is."""
    app = create_app(settings(workplace(), model=model()))
    app.extensions["reader_service"].reader()
    return app


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


def free_port() -> int:
    """A port of loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(folder: Path, changes: Mapping[str, str]) -> dict[str, str]:
    """The variables of a server whose files all lie in ``folder``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FRACTURE_")}
    return kept | {
        "FRACTURE_UPLOAD_FOLDER": str(folder / "uploads"),
        "FRACTURE_INSTANCE_FOLDER": str(folder / "instance"),
        # The network is put into the engine's form once for all servers of a run.
        "FRACTURE_CACHE_FOLDER": str(workplace() / "engine"),
        **changes,
    }


@contextmanager
def serve(
    folder: Path, *flags: str, ready: str = "/readyz", expect: int = 200, **changes: str
) -> Iterator[Server]:
    """Run gunicorn as the documents say until the block ends.

    Args:
        folder: for the uploads, the key and the log.
        flags: of gunicorn.
        ready, expect: the path that is asked, and its status once the server is up.
        changes: FRACTURE_* variables.
    """
    url = f"http://127.0.0.1:{free_port()}"
    log = folder / "server.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "gunicorn",
                *flags,
                "-b",
                url.removeprefix("http://"),
                "app:app",
            ],
            cwd=ROOT,
            env=environment(folder, changes),
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        _until(url + ready, expect, process, log)
        yield Server(url, process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until(url: str, expect: int, process: subprocess.Popen[bytes], log: Path) -> None:
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


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Read /metrics: by the sample's name and its labels' values, in the order of the labels' names."""
    from prometheus_client.parser import text_string_to_metric_families

    return {
        (one.name, *(value for _, value in sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }
