"""The locks: complete, hashed, and under licences that leave the project free."""

from __future__ import annotations

import re
from importlib import metadata

import pytest

from tests.support.makefiles import LOCKS
from tests.support.processes import ROOT

PIN = re.compile(
    r"^(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?P<rest>[^\n]*\\\n(?:[ ]{4}--hash=.*\n)*)", re.M
)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _required(requirements: str) -> set[str]:
    rows = [row.split("#")[0].strip() for row in _text(requirements).splitlines()]
    return {_normal(re.split(r"[<>=!~\[; ]", row)[0]) for row in rows if row and row[0] != "-"}


def _pins(lock: str) -> set[tuple[str, str]]:
    return {(_normal(m["name"]), m["version"]) for m in PIN.finditer(_text(lock))}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes(lock):
    pinned = re.findall(r"^[a-z0-9][\w.-]*==.*$", _text(lock), re.MULTILINE)
    hashed = [m for m in PIN.finditer(_text(lock)) if "--hash=sha256:" in m["rest"]]
    assert len(pinned) == len(hashed) >= 3


@pytest.mark.parametrize("kind", ["requirements", "requirements-dev", "requirements-weights"])
def test_every_requirement_is_pinned(kind):
    pinned = {name for name, _ in _pins(f"{kind}.lock")}
    assert _required(f"{kind}.txt") - pinned == set()


def test_tests_run_on_the_versions_of_users():
    assert _pins("requirements.lock") - _pins("requirements-dev.lock") == set()


def test_keras_runs_no_code_from_hdf5_files():
    versions = [version for name, version in _pins("requirements.lock") if name == "keras"]
    assert versions
    assert all(tuple(map(int, version.split("."))) >= (3, 13, 2) for version in versions)


def _licence(name: str) -> str:
    """Return a package's licence: an expression, classifiers, or the beginning of its licence file."""
    package = metadata.distribution(name)
    expression = package.metadata.get("License-Expression")
    classifiers = [
        row.split(" :: ")[-1]
        for row in package.metadata.get_all("Classifier") or []
        if row.startswith("License")
    ]
    texts = [
        str(file.locate().read_text(encoding="utf-8", errors="replace"))
        for file in package.files or []
        if re.search(r"licen[cs]e|copying", file.name, re.IGNORECASE) and ".dist-info" in str(file)
    ]
    return (
        expression
        or "; ".join(classifiers)
        or package.metadata.get("License")
        or "".join(texts)[:300]
    )


@pytest.mark.slow
def test_no_package_is_under_gpl_or_agpl():
    names = {name for name, _ in _pins("requirements.lock")}
    installed = {_normal(d.name) for d in metadata.distributions()} & names
    assert len(installed) > 50
    licences = {name: _licence(name) for name in sorted(installed)}
    assert [name for name, licence in licences.items() if not licence.strip()] == []
    binding = re.compile(r"\bA?GPL|(?<!Lesser )General Public License|Affero", re.IGNORECASE)
    assert {n: text for n, text in licences.items() if binding.search(text)} == {}


def test_opencv_needs_no_display_libraries():
    names = {name for name, _ in _pins("requirements.lock")}
    assert {name for name in names if name.startswith("opencv")} == {"opencv-python-headless"}
