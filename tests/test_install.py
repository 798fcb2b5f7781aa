"""Installation by make from a local package index that has a newer release than the lock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.makefiles import LOCKS, make
from tests.support.package_index import add_wheel, pip_environment
from tests.support.processes import ROOT

pytestmark = pytest.mark.slow

# The first pip that takes the locked release where a dependency names the package with an extra.
PIP_THAT_KEEPS_EXTRAS = (23, 3)


class Tomorrow(NamedTuple):
    """A checkout whose lock was made before the index got a newer release of a package with an extra."""

    folder: Path
    environment: dict[str, str]

    @property
    def python(self) -> Path:
        return self.folder / ".venv" / "bin" / "python"

    def pip(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, "-m", "pip", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def tomorrow(tmp_path_factory: pytest.TempPathFactory) -> Tomorrow:
    folder = tmp_path_factory.mktemp("tomorrow")
    index = folder / "simple"
    lock = add_wheel(index, "gauge", "1.0", "Provides-Extra: toml")
    # As pytest-cov asks for coverage[toml], which the lock names without the extra.
    lock += add_wheel(index, "plugin", "1.0", "Requires-Dist: gauge[toml]>=1.0")
    add_wheel(index, "gauge", "1.1", "Provides-Extra: toml")
    for name in LOCKS:
        (folder / name).write_text(lock)
    (folder / "Makefile").write_bytes((ROOT / "Makefile").read_bytes())
    environment = pip_environment(index)
    made = make(folder, ".venv/bin/python", f"PYTHON={sys.executable}", **environment)
    assert made.returncode == 0, made.stderr
    return Tomorrow(folder, environment)


def test_make_uses_the_interpreter_it_was_given(tomorrow):
    version = subprocess.run(
        [tomorrow.python, "--version"], capture_output=True, text=True, check=True
    ).stdout
    assert version.split()[1] == sys.version.split()[0]


@pytest.mark.parametrize("stamp", [".venv/.runtime", ".venv/.dev", ".venv/.weights"])
def test_a_lock_outlives_newer_releases(tomorrow, stamp):
    made = make(tomorrow.folder, stamp, **tomorrow.environment)
    assert made.returncode == 0, made.stderr
    rows = tomorrow.pip("list", "--format=freeze").stdout.splitlines()
    assert {"gauge==1.0", "plugin==1.0"} <= set(rows)


def test_old_pip_breaks_a_lock_without_no_deps(tomorrow):
    tomorrow.pip("uninstall", "--yes", "gauge", "plugin")
    resolved = tomorrow.pip("install", "--require-hashes", "--requirement", "requirements.lock")
    version = tuple(map(int, tomorrow.pip("--version").stdout.split()[1].split(".")[:2]))
    if version < PIP_THAT_KEEPS_EXTRAS:
        assert resolved.returncode != 0
        assert "gauge[toml]" in resolved.stderr
