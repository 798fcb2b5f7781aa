"""Serving opens no connection of its own, from the import to the answer."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.support.serving import ROOT, environment, model, radiograph

# An audit hook sees every connection and look-up of the process, whoever makes it in Python.
PROGRAM = """
import io, json, socket, sys
from pathlib import Path

asked = []

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        asked.append([event, repr(arguments[-1] if event != "socket.getaddrinfo" else arguments[0])])
        raise PermissionError(event)

sys.addaudithook(watch)
if sys.argv[2] == "try":
    try:
        socket.create_connection(("192.0.2.1", 80))
    except PermissionError:
        pass
import app
answers = [
    app.app.test_client().post(
        "/predict", data={"file": (io.BytesIO(Path(sys.argv[1]).read_bytes()), "a")}
    ).status_code
]
answers.append(app.app.test_client().get("/").status_code)
print(json.dumps([answers, asked]))
"""


def run(folder, mode: str) -> tuple[list[int], list[list[str]]]:
    picture = folder / "image"
    picture.write_bytes(radiograph())
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(picture), mode],
        cwd=ROOT,
        env=environment(folder, {"FRACTURE_MODEL": str(model())}),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    answers, asked = json.loads(done.stdout.splitlines()[-1])
    return answers, asked


def test_from_the_import_to_the_answer_nobody_is_called(tmp_path):
    assert run(tmp_path, "serve") == ([200, 200], [])


def test_the_watch_would_see_a_call(tmp_path):
    answers, asked = run(tmp_path, "try")
    assert answers == [200, 200]
    assert asked
