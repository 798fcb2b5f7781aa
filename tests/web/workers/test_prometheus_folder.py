"""Private folder of the workers' counts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.support.processes import running
from tests.support.serving import ROOT
from utils.web.workers import prometheus_folder


def run(program: str, folder: Path, **changes: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        cwd=ROOT,
        env={**os.environ, **changes},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.strip()


SHARE = """
import os, sys
from pathlib import Path
from utils.web.workers import prometheus_folder
made = prometheus_folder.create(Path(sys.argv[1]))
assert prometheus_folder.create(Path(sys.argv[1])) == made == prometheus_folder.current()
assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(made)
assert os.listdir(made) == [] and made.stat().st_mode & 0o777 == 0o700
print(made, flush=True)
"""


def test_the_folder_ends_with_its_server(tmp_path):
    fork = (
        "child = os.fork()\nif child == 0: sys.exit()\nos.waitpid(child, 0)\nprint(made.is_dir())"
    )
    made, left = run(SHARE + fork, tmp_path).split("\n")
    assert left == "True"
    assert Path(made).parent == tmp_path
    assert os.listdir(tmp_path) == []


def test_a_start_removes_only_unused_leftovers(tmp_path):
    killed = Path(run(SHARE + "os._exit(0)", tmp_path))
    (killed / "counter_1.db").write_bytes(b"old")
    young = tmp_path / f"{prometheus_folder.PREFIX}young"
    young.mkdir()
    target = tmp_path / "elsewhere"
    target.mkdir()
    (tmp_path / f"{prometheus_folder.PREFIX}link").symlink_to(target)
    with running(
        [sys.executable, "-c", SHARE + "input()", str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        used = Path(other.stdout.readline().strip())
        long_ago = time.time() - 2 * prometheus_folder.YOUNG_SECONDS
        for folder in (killed, used, target):
            os.utime(folder, (long_ago, long_ago))
        run(SHARE, tmp_path)
        assert not killed.exists()
        assert used.is_dir()
        assert young.is_dir()
        assert target.is_dir()


def test_the_environments_own_folder_is_unused(tmp_path):
    program = "import app, os; print(os.environ.get('PROMETHEUS_MULTIPROC_DIR'))"
    changes = {
        "FRACTURE_UPLOAD_FOLDER": str(tmp_path / "uploads"),
        "FRACTURE_INSTANCE_FOLDER": str(tmp_path / "instance"),
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "none"),
    }
    assert run(program, tmp_path, **changes) == "None"
