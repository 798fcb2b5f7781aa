"""Settings: the environment, refused values, the documented table."""

from __future__ import annotations

import os
import re
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


def test_the_documented_defaults_hold():
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


def test_relative_paths_start_at_the_project(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FRACTURE_MODEL", "models/wrist.h5")
    assert read_settings().model == ROOT / "models" / "wrist.h5"


def test_the_engine_cache_is_an_instance_folder(monkeypatch):
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
def test_a_wrong_value_names_the_allowed_ones(monkeypatch, name, value, allowed):
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSetting) as error:
        read_settings()
    assert name in str(error.value)
    assert value in str(error.value)
    assert allowed in str(error.value)


def test_a_short_secret_key_is_not_repeated(monkeypatch):
    monkeypatch.setenv("FRACTURE_SECRET_KEY", "hunter2")
    with pytest.raises(BadSetting) as error:
        read_settings()
    assert "at least 16 characters" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_the_secret_key_is_not_in_the_repr(monkeypatch):
    monkeypatch.setenv("FRACTURE_SECRET_KEY", "correct horse battery staple")
    assert "horse" not in repr(read_settings())


def test_misspelt_variables_are_returned():
    given = {"FRACTURE_MODEL": "a", "FRACTURE_MODLE": "b", "PATH": "c", "fracture_port": "1"}
    assert unknown_variables(given) == ["FRACTURE_MODLE"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [["app.py"], ["-m", "gunicorn", "--check-config", "app:app"]],
    ids=["app", "gunicorn"],
)
def test_a_wrong_value_ends_servers_with_status_3(tmp_path, command):
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


def test_the_documented_settings_are_the_class():
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
