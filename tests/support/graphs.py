"""Processes that load an engine, and the calls to the network that they attempt."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from tests.support.processes import ROOT, running

LOAD = """
import json, logging, sys
from pathlib import Path
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
from utils.inference.engines.engine import load_engine
from utils.model.self_test import self_test_input
engine = load_engine(Path(sys.argv[1]), cache=Path(sys.argv[2]))
logit = float(engine.run(self_test_input(32)).logit[0])
print(json.dumps([engine.kind, logit, "tensorflow" in sys.modules]))
"""


def start_engine(
    model: Path, cache: Path, environment: dict[str, str] | None = None
) -> AbstractContextManager[subprocess.Popen[str]]:
    """Start a process that loads a model's engine and prints its kind, logit and use of TensorFlow."""
    return running(
        [sys.executable, "-c", LOAD, str(model), str(cache)],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# Every process of a run, the export's child too, imports this first; calls are written to a file.
WATCH = """
import os, sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        with open(os.environ["WATCH"], "a") as file:
            file.write(f"{event} {arguments[-1]!r}\\n")
        raise PermissionError(event)
    if event == "import" and arguments[0] == "tensorflow":
        with open(os.environ["WATCH"], "a") as file:
            file.write("tensorflow\\n")
sys.addaudithook(watch)
"""


def watched(folder: Path) -> dict[str, str]:
    """Return an environment in which calls to the network are refused and listed in ``folder/calls``."""
    folder.joinpath("sitecustomize.py").write_text(WATCH)
    folder.joinpath("home").mkdir()
    calls = folder / "calls"
    calls.touch()
    environment = {"PYTHONPATH": str(folder), "WATCH": str(calls), "HOME": str(folder / "home")}
    # Set in CI, where OpenVINO would keep quiet by itself.
    return {**environment, **dict.fromkeys(("CI", "TF_BUILD", "JENKINS_URL"), "")}
