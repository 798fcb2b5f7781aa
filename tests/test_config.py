"""The settings: what the environment says, what is refused and how, and that the table is true."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from config import ROOT, BadSetting, Settings, read_settings, unknown_variables
from tests.support.serving import environment

OPERATIONS = ROOT / "docs" / "operations.md"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in list(os.environ):
        if name.startswith("FRACTURE_"):
            monkeypatch.delenv(name)


def test_without_an_environment_the_documented_defaults_hold():
    settings = read_settings()
    assert settings.model == ROOT / "models" / "best_model.h5"
    assert (settings.host, settings.port) == ("127.0.0.1", 5000)
    assert settings.limits.max_bytes == 64 * 1024 * 1024
    assert settings.limits.max_pixels == 50_000_000


def test_a_variable_changes_its_setting(monkeypatch):
    monkeypatch.setenv("FRACTURE_MAX_UPLOAD_MB", "8")
    monkeypatch.setenv("FRACTURE_MODEL", "/srv/wrist.h5")
    settings = read_settings()
    assert settings.limits.max_bytes == 8 * 1024 * 1024
    assert settings.model == Path("/srv/wrist.h5")


def test_a_relative_path_counts_from_the_project_wherever_the_process_stands(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FRACTURE_MODEL", "models/wrist.h5")
    assert read_settings().model == ROOT / "models" / "wrist.h5"


def test_the_engines_cache_lies_in_the_instance_folder_unless_it_is_named(monkeypatch):
    monkeypatch.setenv("FRACTURE_INSTANCE_FOLDER", "/srv/instance")
    assert read_settings().engine_cache == Path("/srv/instance/engine")
    monkeypatch.setenv("FRACTURE_CACHE_FOLDER", "graphs")
    assert read_settings().engine_cache == ROOT / "graphs"


def test_settings_cannot_be_changed_once_read():
    with pytest.raises(ValidationError):
        read_settings().port = 80  # type: ignore[misc]


def test_an_empty_variable_is_as_good_as_none(monkeypatch):
    monkeypatch.setenv("FRACTURE_SECRET_KEY", "")
    assert read_settings().secret_key is None


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("FRACTURE_MAX_UPLOAD_MB", "many", "1 to 2048"),
        ("FRACTURE_MAX_UPLOAD_MB", "0", "1 to 2048"),
        ("FRACTURE_PORT", "tcp://10.0.0.1:5000", "1 to 65535"),
        ("FRACTURE_ENGINE", "abacus", "tensorflow"),
        ("FRACTURE_PRECISION", "int3", "float32 or bfloat16"),
        ("FRACTURE_QUEUE", "-1", "0 to 1000"),
        ("FRACTURE_PREVALENCE", "0", "above 0 and below 1"),
        ("FRACTURE_PREVALENCE", "10 %", "above 0 and below 1"),
        ("FRACTURE_LOG_LEVEL", "loud", "debug, info, warning or error"),
        ("FRACTURE_COOKIE_SECURE", "perhaps", "true or false"),
        ("FRACTURE_QUEUE_SECONDS", "nan", "0.1 to 300"),
    ],
)
def test_a_wrong_value_is_refused_by_the_variables_name_and_what_is_allowed(
    monkeypatch, name, value, allowed
):
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSetting) as fault:
        read_settings()
    assert name in str(fault.value)
    assert value in str(fault.value)
    assert allowed in str(fault.value)


def test_a_short_secret_key_is_refused_without_repeating_it(monkeypatch):
    monkeypatch.setenv("FRACTURE_SECRET_KEY", "hunter2")
    with pytest.raises(BadSetting) as fault:
        read_settings()
    assert "at least 16 characters" in str(fault.value)
    assert "hunter2" not in str(fault.value)


def test_the_secret_key_is_not_shown_when_the_settings_are(monkeypatch):
    monkeypatch.setenv("FRACTURE_SECRET_KEY", "correct horse battery staple")
    assert "horse" not in repr(read_settings())


def test_misspelt_variables_are_named():
    given = {"FRACTURE_MODEL": "a", "FRACTURE_MODLE": "b", "PATH": "c", "fracture_port": "1"}
    assert unknown_variables(given) == ["FRACTURE_MODLE"]


@pytest.mark.parametrize(
    "command",
    [["app.py"], ["-m", "gunicorn", "--check-config", "app:app"]],
    ids=["app", "gunicorn"],
)
def test_a_wrong_value_ends_a_server_with_one_line_and_status_3(tmp_path, command):
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment(tmp_path, {"FRACTURE_PORT": "five"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr == (
        "error: FRACTURE_PORT: 'five' is not allowed; give a whole number, 1 to 65535\n"
    )


def test_app_py_without_a_model_ends_with_one_line_and_status_3(tmp_path):
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
    """Run app.py without a model until it ends; return its status and what it says beside the log."""
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
def test_a_wrong_flag_of_app_py_is_one_line_and_status_2(tmp_path, flags):
    status, (line,) = _app_py(tmp_path, *flags)
    assert status == 2
    assert line.startswith("app.py: ")
    assert flags[-1] in line


def test_a_taken_port_is_told_in_one_line_and_before_the_model_is_loaded(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        status, (line,) = _app_py(tmp_path, "--port", taken)
        assert (status, line) == (
            3,
            f"app.py: cannot listen on 127.0.0.1:{taken}: the port is taken; "
            "choose another with --port",
        )
        assert _app_py(tmp_path, FRACTURE_PORT=taken) == (status, [line])


def test_an_address_of_another_machine_is_one_line_and_status_3(tmp_path):
    status, (line,) = _app_py(tmp_path, "--host", "192.0.2.1", "--port", "0")
    assert status == 3
    assert line.startswith("app.py: cannot listen on 192.0.2.1:0: ")


def test_the_table_of_settings_in_the_documents_is_the_class():
    rows = re.findall(
        r"^\| `(FRACTURE_\w+)` \| (.*?) \| (.*?) \| (.*?) \|$",
        OPERATIONS.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert rows == [(f"FRACTURE_{name.upper()}", *_row(name)) for name in Settings.model_fields]


def _row(name: str) -> tuple[str, str, str]:
    field = Settings.model_fields[name]
    extra = field.json_schema_extra
    assert isinstance(extra, dict)
    default = str(field.default).lower() if isinstance(field.default, bool) else field.default
    shown = "none" if default is None else f"`{default}`"
    return shown, str(extra["allowed"]), str(field.description)
