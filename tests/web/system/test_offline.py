"""Serving opens no connection of its own, from the import to the answer."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.serving import ROOT, environment, model, radiograph

pytestmark = pytest.mark.slow

# An audit hook sees every connection and look-up of the process, whoever makes it in Python.
PROGRAM = """
import io, json, socket, sys
from pathlib import Path

calls = []

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        calls.append([event, repr(arguments[-1] if event != "socket.getaddrinfo" else arguments[0])])
        raise PermissionError(event)

sys.addaudithook(watch)
import app
answers = [
    app.app.test_client().post(
        "/predict", data={"file": (io.BytesIO(Path(sys.argv[1]).read_bytes()), "a")}
    ).status_code
]
answers.append(app.app.test_client().get("/").status_code)
before = list(calls)
try:
    socket.create_connection(("192.0.2.1", 80))
except PermissionError:
    pass
print(json.dumps([answers, before, calls]))
"""


def test_serving_opens_no_connection(tmp_path):
    picture = tmp_path / "image"
    picture.write_bytes(radiograph())
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(picture)],
        cwd=ROOT,
        env=environment(tmp_path, {"FRACTURE_MODEL": str(model())}),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    answers, calls, provoked = json.loads(done.stdout.splitlines()[-1])
    assert answers == [200, 200]
    assert calls == []
    assert provoked, "the audit hook sees a connection"
