"""OpenVINO's import: workers share one export, and nothing calls home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.bundles import tiny_bundle
from tests.support.graphs import start_engine, watched
from utils.model.bundle import read_bundle

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Run:
    """Three workers that were started at once with an empty cache."""

    model: Path
    folder: Path
    codes: list[int]
    outputs: list[str]
    logs: list[str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    (folder / "bundle").mkdir()
    model = tiny_bundle(folder / "bundle", image_size=32)
    environment = watched(folder)
    with ExitStack() as stack:
        workers = [
            stack.enter_context(start_engine(model, folder / "cache", environment))
            for _ in range(3)
        ]
        ends = [worker.communicate(timeout=110) for worker in workers]
    codes = [worker.returncode for worker in workers]
    return Run(model, folder, codes, [output for output, _ in ends], [log for _, log in ends])


def test_workers_started_at_once_export_once(run: Run) -> None:
    assert run.codes == [0, 0, 0], run.logs
    assert sum(log.count("exported ") for log in run.logs) == 1


def test_no_worker_imports_tensorflow(run: Run) -> None:
    (answer,) = {output.splitlines()[-1] for output in run.outputs}
    kind, logit, imported = json.loads(answer)
    assert (kind, imported) == ("openvino", False)
    expected = read_bundle(run.model).sidecar.self_test.outputs["logit"][0]
    assert logit == pytest.approx(expected, abs=1e-4)


def test_neither_export_nor_engine_calls_home(run: Run) -> None:
    # The one line is the child's import: it was watched too.
    assert set((run.folder / "calls").read_text().splitlines()) == {"tensorflow"}
    assert not (run.folder / "home" / "intel").exists()


def test_the_watch_notices_a_call(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", "import socket; socket.create_connection(('192.0.2.1', 80))"],
        env={**os.environ, **watched(tmp_path)},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert "socket" in (tmp_path / "calls").read_text()
