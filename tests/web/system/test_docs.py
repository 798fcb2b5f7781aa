"""The documents of the web app: their examples run, their tables are what the code does."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import ROOT
from tests.conftest import missing
from tests.support.serving import listen, radiograph, send, shared_app
from utils import errors
from utils.formats import FORMATS
from utils.inference.input_warnings import CERTAINTIES, WARNING_CODES
from utils.web import uploads
from utils.web.errors import HTTP_ERRORS, status_of
from utils.web.service import ModelLoading

API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def snippets(text: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with listen(shared_app()) as url:
        yield url


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "image.png").write_bytes(radiograph())
    return tmp_path


def run(command: list[str], folder: Path) -> str:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=True
    ).stdout


def test_the_curl_example_has_documented_fields(address, folder):
    if shutil.which("curl") is None:
        missing("there is no curl on this machine")
    (example,) = snippets(API, "sh")
    answer = json.loads(
        run(["sh", "-c", example.replace("http://localhost:5000", address)], folder)
    )
    documented = json.loads(snippets(API, "json")[0])
    assert list(answer) == list(documented)
    for name, value in documented.items():
        if isinstance(value, dict):
            assert list(answer[name]) == list(value)


@pytest.mark.parametrize("number", [0, 1])
def test_the_python_examples_run(address, folder, number):
    example = snippets(API, "python")[number].replace("http://localhost:5000", address)
    output = run([sys.executable, "-c", example], folder)
    if number == 0:
        assert re.match(r"(Fracture Detected|Normal) (definite|doubtful) Assistance only", output)
    else:
        assert (folder / "map.png").read_bytes().startswith(b"\x89PNG")


def test_every_field_of_the_answer_is_explained():
    answer = API.split("### Warnings")[0]
    explained = set(re.findall(r"^\| `(\w+)` \|", answer, re.MULTILINE))
    assert explained == set(send(shared_app().test_client(), radiograph()).json)


def test_every_error_code_is_documented():
    table = {
        (int(status), code)
        for status, codes in re.findall(r"^\| (\d{3}) \| (`[^|]+) \|", API, re.MULTILINE)
        for code in re.findall(r"`(\w+)`", codes)
    }
    ours = [
        errors.InputError,
        errors.UnreadableImage,
        errors.TooLarge,
        errors.UnsupportedFormat,
        errors.NotARadiograph,
        errors.SetupError,
        errors.ModelMissing,
        errors.BundleError,
        errors.Overloaded,
        uploads.NoFile,
        uploads.SeveralFiles,
        uploads.BadForm,
        uploads.UnsupportedCoding,
        ModelLoading,
    ]
    expected = {(status_of(kind("")), kind.code) for kind in ours} | {(400, "csrf_failed")}
    expected |= {(status, error.code) for status, error in HTTP_ERRORS.items()}
    assert table == expected


def test_every_address_is_documented():
    site = {str(rule) for rule in shared_app().url_map.iter_rules() if rule.endpoint != "static"}
    table = re.findall(r"^\| `(?:GET|POST) (\S+)` \|", API, re.MULTILINE)
    assert set(table) == site
    assert len(site) == 5
    assert "Five addresses." in API


def test_exactly_the_warnings_are_documented():
    section = API.split("### Warnings")[1].split("## Errors")[0]
    documented = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert documented == set(WARNING_CODES)
    assert all(f"`{word}`" in API for word in CERTAINTIES)


def test_the_formats_are_named():
    for format in FORMATS.values():
        assert format.title in API


def test_the_gunicorn_command_is_documented():
    assert "gunicorn -w 4 -b 0.0.0.0:5000 app:app" in OPERATIONS


def test_the_proxy_accepts_the_largest_file():
    limit = re.search(r"client_max_body_size (\d+)m;", OPERATIONS)
    assert limit
    assert int(limit[1]) * 2**20 >= shared_app().config["MAX_CONTENT_LENGTH"]


def test_the_service_starts_what_exists():
    assert (ROOT / "gunicorn.conf.py").exists()
    (unit,) = snippets(OPERATIONS, "ini")
    settings = set(re.findall(r"(FRACTURE_\w+)=", unit))
    table = set(re.findall(r"^\| `(FRACTURE_\w+)`", OPERATIONS, re.MULTILINE))
    assert settings
    assert settings <= table
