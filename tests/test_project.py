"""What the project says about itself: its documents, its verbs, what it pins and under which licences."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LOCKS = ("requirements.lock", "requirements-dev.lock")
# What is no part of the project: made on this machine, or the user's own.
NOT_OURS = {"data", "runs", "reports", "uploads", "instance", "__pycache__"}

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PIN = re.compile(
    r"^(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?P<rest>[^\n]*\\\n(?:[ ]{4}--hash=.*\n)*)", re.M
)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _named_in(requirements: str) -> set[str]:
    rows = [row.split("#")[0].strip() for row in _text(ROOT / requirements).splitlines()]
    return {_normal(re.split(r"[<>=!~\[; ]", row)[0]) for row in rows if row and row[0] != "-"}


def _pins(lock: str) -> set[tuple[str, str]]:
    return {(_normal(m["name"]), m["version"]) for m in PIN.finditer(_text(ROOT / lock))}


def _files_of_the_project() -> list[Path]:
    found = []
    for folder, folders, files in os.walk(ROOT):
        here = Path(folder)
        folders[:] = [f for f in folders if f not in NOT_OURS and (f == ".ci" or f[0] != ".")]
        found += [here / name for name in files if not name.startswith(".coverage")]
    return found


def _anchors(document: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", _text(document)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def _commands(document: Path) -> list[str]:
    """Return the command lines that a document shows, in blocks and in the running text."""
    text = _text(document)
    rows = [
        row for _, block in FENCE.findall(text) for row in block.replace("\\\n", " ").split("\n")
    ]
    return rows + INLINE.findall(FENCE.sub("", text))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_links_of_a_document_lead_somewhere(document):
    dead = []
    for link in LINK.findall(FENCE.sub("", _text(document))):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = document.parent / place if place else document
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            dead.append(link)
    assert dead == []


def test_the_readme_leads_to_every_document():
    linked = {
        (ROOT / link.partition("#")[0]).resolve()
        for link in LINK.findall(_text(ROOT / "README.md"))
    }
    wanted = {path for path in DOCUMENTS if path.parent == ROOT / "docs"}
    assert {path.name for path in wanted - linked} == set()


def _verbs() -> set[str]:
    phony = re.search(r"^\.PHONY: (.+)$", _text(ROOT / "Makefile"), re.MULTILINE)
    assert phony
    return set(phony[1].split())


def test_make_help_lists_every_verb():
    rules = set(re.findall(r"^([a-z]+):", _text(ROOT / "Makefile"), re.MULTILINE))
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    listed = re.findall(r"^make (\w+) +\S", shown, re.MULTILINE)
    assert rules == _verbs() == set(listed)
    assert len(listed) == len(shown.splitlines())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_document_names_verbs_and_flags_that_exist(document):
    unknown = []
    for command in _commands(document):
        if verb := re.match(r"make ([a-z_]+)\b", command):
            unknown += [] if verb[1] in _verbs() else [command]
        if script := re.search(r"\bpython (app|train|evaluate|predict)\.py(.*)", command):
            flags = set(re.findall(r"(?<!\S)--?[a-z]\w*", script[2]))
            unknown += [f"{script[1]}.py {flag}" for flag in flags - _flags_of(script[1])]
    assert unknown == []


_FLAGS: dict[str, set[str]] = {}


def _flags_of(script: str) -> set[str]:
    if script not in _FLAGS:
        shown = subprocess.run(
            [sys.executable, f"{script}.py", "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        _FLAGS[script] = set(re.findall(r"(?<![\w-])--?[a-z]\w*", shown))
    return _FLAGS[script]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder, with a space in its name, of the Makefile and an interpreter that notes its calls."""
    folder = tmp_path / "a checkout"
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name in ("Makefile", *LOCKS):
        (folder / name).write_bytes((ROOT / name).read_bytes())
        os.utime(folder / name, (1_000_000_000, 1_000_000_000))
    noting = folder / ".venv" / "bin" / "python"
    noting.write_text('#!/bin/sh\necho "$*" >> calls\n')
    noting.chmod(0o755)
    return folder


def _make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # A make that started these tests hands its own settings down in these.
    kept = {k: v for k, v in os.environ.items() if k not in {"MAKEFLAGS", "MAKEOVERRIDES", "ARGS"}}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=kept,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _calls(folder: Path) -> list[str]:
    notes = folder / "calls"
    rows = notes.read_text().splitlines() if notes.exists() else []
    notes.unlink(missing_ok=True)
    return rows


def test_make_run_installs_the_lock_once_and_again_when_it_changes(checkout):
    serving = "-m gunicorn --bind 127.0.0.1:5000 app:app"
    assert _make(checkout, "run").returncode == 0
    install, served = _calls(checkout)
    assert "--require-hashes" in install
    assert install.endswith("--requirement requirements.lock")
    assert served == serving
    assert _make(checkout, "run").returncode == 0
    assert _calls(checkout) == [serving]
    later = (checkout / ".venv" / ".runtime").stat().st_mtime + 10
    os.utime(checkout / "requirements.lock", (later, later))
    assert _make(checkout, "run").returncode == 0
    assert _calls(checkout) == [install, serving]


def test_make_run_says_where_it_serves_before_it_serves(checkout):
    said = _make(checkout, "run", "PORT=5077").stdout
    assert "http://127.0.0.1:5077/" in said
    assert "curl -F file=@" in said
    assert "127.0.0.1:5077" in _calls(checkout)[-1]


def test_an_install_that_fails_is_tried_again(checkout):
    python = checkout / ".venv" / "bin" / "python"
    good = python.read_text()
    python.write_text("#!/bin/sh\nexit 1\n")
    assert _make(checkout, "install").returncode != 0
    python.write_text(good)
    assert _make(checkout, "install").returncode == 0
    assert len(_calls(checkout)) == 1


def test_make_test_measures_coverage_unless_only_some_tests_run(checkout):
    assert _make(checkout, "test").returncode == 0
    install, whole = _calls(checkout)
    assert install.endswith("--requirement requirements-dev.lock")
    assert whole == "-m pytest --cov"
    _make(checkout, "test", "ARGS=tests/test_errors.py -q")
    assert _calls(checkout) == ["-m pytest tests/test_errors.py -q"]


def test_make_refuses_an_interpreter_that_tensorflow_has_no_wheels_for(checkout, tmp_path):
    (checkout / ".venv" / "bin" / "python").unlink()
    too_new = tmp_path / "python3.99"
    # Any interpreter that answers the question about its version with no.
    too_new.write_text("#!/bin/sh\nexit 1\n")
    too_new.chmod(0o755)
    refused = _make(checkout, "run", f"PYTHON={too_new}")
    assert refused.returncode != 0
    assert "3.11, 3.12 or 3.13" in refused.stderr
    assert str(too_new) in refused.stderr
    assert not (checkout / ".venv" / "bin" / "python").exists()


def test_make_makes_the_environment_with_the_interpreter_it_was_given(checkout):
    (checkout / ".venv" / "bin" / "python").unlink()
    made = _make(checkout, ".venv/bin/python", f"PYTHON={sys.executable}")
    assert made.returncode == 0, made.stderr
    version = subprocess.run(
        [checkout / ".venv" / "bin" / "python", "--version"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert version.split()[1] == sys.version.split()[0]


def test_the_readme_names_the_interpreters_that_make_accepts():
    accepted = re.search(r"^RANGE := (.+)$", _text(ROOT / "Makefile"), re.MULTILINE)
    assert accepted
    assert f"Python {accepted[1]}" in _text(ROOT / "README.md")


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_hashes(lock):
    pinned = re.findall(r"^[a-z0-9][\w.-]*==.*$", _text(ROOT / lock), re.MULTILINE)
    hashed = [m for m in PIN.finditer(_text(ROOT / lock)) if "--hash=sha256:" in m["rest"]]
    assert len(pinned) == len(hashed) > 50


@pytest.mark.parametrize("kind", ["requirements", "requirements-dev"])
def test_what_is_required_is_pinned(kind):
    pinned = {name for name, _ in _pins(f"{kind}.lock")}
    assert _named_in(f"{kind}.txt") - pinned == set()


def test_tests_run_on_the_versions_that_users_get():
    assert _pins("requirements.lock") - _pins("requirements-dev.lock") == set()


def test_keras_is_no_version_that_runs_code_from_hdf5_files():
    versions = [version for name, version in _pins("requirements.lock") if name == "keras"]
    assert versions
    assert all(tuple(map(int, version.split("."))) >= (3, 13, 2) for version in versions)


def _licence(name: str) -> str:
    """Return what a package states as its licence: an expression, classifiers, or its licence file."""
    package = metadata.distribution(name)
    stated = package.metadata.get("License-Expression")
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
        stated or "; ".join(classifiers) or package.metadata.get("License") or "".join(texts)[:300]
    )


def test_no_installed_package_is_under_a_licence_that_would_bind_the_project():
    names = {name for name, _ in _pins("requirements.lock")}
    installed = {_normal(d.name) for d in metadata.distributions()} & names
    assert len(installed) > 50
    licences = {name: _licence(name) for name in sorted(installed)}
    assert [name for name, licence in licences.items() if not licence.strip()] == []
    binding = re.compile(r"\bA?GPL|(?<!Lesser )General Public License|Affero", re.IGNORECASE)
    assert {n: text for n, text in licences.items() if binding.search(text)} == {}


def test_opencv_is_the_build_that_needs_no_display_libraries():
    names = {name for name, _ in _pins("requirements.lock")}
    assert {name for name in names if name.startswith("opencv")} == {"opencv-python-headless"}


def test_no_file_names_a_registry_or_a_place_on_one_machine():
    # Spelled in pieces, so that this file passes its own test.
    hosts = ["py" + "pi.org", "python" + "hosted", "index" + "-url"]
    places = ["/" + "root/", "/" + "work/", "/" + "home/"]
    allowed = {
        ROOT / "Makefile": {"index" + "-url"}
    }  # the flag that keeps the address out of a lock
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in _files_of_the_project()
        for word in (*hosts, *places)
        if word.encode() in path.read_bytes() and word not in allowed.get(path, set())
    ]
    assert found == []


def test_nothing_of_the_real_data_was_copied_into_the_project(shared_data):
    ours = {path.name for path in _files_of_the_project()}
    theirs = {path.name for path in (shared_data / "fracatlas" / "images").rglob("*.jpg")}
    assert len(theirs) > 1000
    assert ours & theirs == set()


def test_every_document_that_shows_a_prediction_says_that_it_assists():
    for document in DOCUMENTS:
        text = _text(document)
        if '"prediction"' in text:
            assert '"disclaimer"' in text, document.name
            assert '"label_meaning"' in text, document.name


def test_the_readme_says_what_this_is_not():
    text = _text(ROOT / "README.md").lower()
    assert "not a medical device" in text
    assert "never replaces" in text


def test_the_licence_is_the_apache_licence_whole():
    text = _text(ROOT / "LICENSE")
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_ci_runs_the_readmes_test_command_with_skips_forbidden():
    script = _text(ROOT / ".ci" / "run")
    assert "make lint types" in script
    assert script.rstrip().endswith("export CI=true\nmake test")
    assert "make test" in _text(ROOT / "README.md")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=True)
