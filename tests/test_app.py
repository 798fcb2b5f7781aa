"""app.py: exit codes, flags and serving on loopback."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from tests.support.processes import running
from tests.support.serving import (
    ROOT,
    environment,
    model,
    radiograph,
)

pytestmark = pytest.mark.slow


def test_it_serves_on_loopback_until_ctrl_c(tmp_path):
    with running(
        [sys.executable, "app.py", "--port", "0"],
        cwd=ROOT,
        env=environment(tmp_path, {"FRACTURE_MODEL": str(model())}),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr
        for line in process.stderr:
            if line.startswith("serving on "):
                break
        url = line.split()[2]
        assert url.startswith("http://127.0.0.1:")
        answer = requests.post(f"{url}/predict", files={"file": ("a", radiograph())}, timeout=60)
        assert answer.status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130


def test_without_a_model_it_ends_with_status_3(tmp_path):
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=environment(
            tmp_path,
            {"FRACTURE_MODEL": str(tmp_path / "none.h5"), "FRACTURE_LOG_LEVEL": "error"},
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    lines = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert len(lines) == 1
    assert "none.h5" in lines[0]


def _app_py(folder: Path, *flags: str, **changes: str) -> tuple[int, list[str]]:
    """Run app.py without a model until it ends; return its status and its stderr without the log."""
    done = subprocess.run(
        [sys.executable, "app.py", *flags],
        cwd=ROOT,
        env=environment(folder, {"FRACTURE_MODEL": str(folder / "none.h5"), **changes}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert not any("model" in line for line in lines), "it had begun to load the model"
    return done.returncode, lines


@pytest.mark.parametrize("flags", [("--port", "99999"), ("--port", "abc"), ("--nope",)])
def test_a_wrong_flag_is_one_line_and_status_2(tmp_path, flags):
    status, (line,) = _app_py(tmp_path, *flags)
    assert status == 2
    assert line.startswith("app.py: ")
    assert flags[-1] in line


def test_a_taken_port_is_reported_before_the_load(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        status, (line,) = _app_py(tmp_path, "--port", taken)
        assert (status, line) == (
            3,
            f"app.py: cannot listen on 127.0.0.1:{taken}: the port is taken; "
            "choose another with --port",
        )
        assert _app_py(tmp_path, FRACTURE_PORT=taken) == (status, [line])


def test_a_foreign_address_ends_with_status_3(tmp_path):
    status, (line,) = _app_py(tmp_path, "--host", "192.0.2.1", "--port", "0")
    assert status == 3
    assert line.startswith("app.py: cannot listen on 192.0.2.1:0: ")
