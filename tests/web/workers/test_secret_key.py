"""Secret key, one for all workers."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from contextlib import ExitStack

import pytest

from tests.support.processes import running
from tests.support.serving import ROOT, settings
from utils.errors import SetupError
from utils.web.app import create_app
from utils.web.workers.secret_key import shared_key

MAKE = "import sys; from pathlib import Path; from utils.web.workers.secret_key import shared_key; \
sys.stdin.read(); print(shared_key(Path(sys.argv[1])))"


def test_the_key_is_made_once_with_mode_0600(tmp_path):
    key = shared_key(tmp_path / "instance")
    assert shared_key(tmp_path / "instance") == key
    assert len(bytes.fromhex(key)) == 32
    path = tmp_path / "instance" / "secret_key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path / "instance") == ["secret_key"]


def test_two_folders_have_two_keys(tmp_path):
    assert shared_key(tmp_path / "a") != shared_key(tmp_path / "b")


def test_processes_agree_on_one_key(tmp_path):
    command = [sys.executable, "-c", MAKE, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with ExitStack() as stack:
        started = [stack.enter_context(running(command, cwd=ROOT, **pipes)) for _ in range(6)]
        for process in started:
            assert process.stdin
            process.stdin.close()
        keys = {process.stdout.read().strip() for process in started if process.stdout}
        assert all(process.wait() == 0 for process in started)
    assert len(keys) == 1
    assert keys == {shared_key(tmp_path)}


def test_a_key_that_others_can_read_is_refused(tmp_path):
    shared_key(tmp_path)
    (tmp_path / "secret_key").chmod(0o644)
    with pytest.raises(SetupError, match="chmod 600"):
        shared_key(tmp_path)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64])
def test_a_damaged_key_file_is_refused(tmp_path, content):
    path = tmp_path / "secret_key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(SetupError, match="secret"):
        shared_key(tmp_path)


def test_an_unusable_folder_names_the_variable(tmp_path):
    (tmp_path / "instance").write_text("in the way")
    with pytest.raises(SetupError, match="set FRACTURE_SECRET_KEY"):
        create_app(settings(tmp_path))


def test_a_given_key_needs_no_folder(tmp_path):
    app = create_app(settings(tmp_path, secret_key="correct horse battery staple"))
    assert app.secret_key == "correct horse battery staple"
    assert not (tmp_path / "instance").exists()
