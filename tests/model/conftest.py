"""Fixtures of the model tests: a small real bundle, and a copy that a test may alter."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.bundles import tiny_bundle
from utils.model.manifest import manifest_path
from utils.model.sidecar import sidecar_path


@pytest.fixture(scope="package")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that no test alters."""
    return tiny_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def bundle_path(saved: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may alter."""
    for path in (saved, sidecar_path(saved), manifest_path(saved)):
        shutil.copy(path, tmp_path / path.name)
    return tmp_path / saved.name
