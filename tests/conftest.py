"""Fixtures of all tests: a drawn radiograph, the real data, and no skips in CI."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.support.pictures import draw_radiograph, encode

SHARED = Path(__file__).resolve().parents[2] / "shared"
IN_CI = bool(os.environ.get("CI"))


def missing(reason: str) -> None:
    """Skip a test that cannot run on this machine; in CI, where everything is there, fail it."""
    if IN_CI:
        pytest.fail(f"must not be skipped in CI: {reason}")
    pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn every skip in CI into a failure."""
    report = yield
    if IN_CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report


@pytest.fixture(scope="session", autouse=True)
def separate_graph_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the graphs that tests export out of the app's own graph cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRACTURE_CACHE_FOLDER", str(tmp_path_factory.mktemp("graphs")))
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real radiographs beside the checkout."""
    folder = SHARED / "data"
    if not folder.is_dir():
        missing(f"the real radiographs are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def radiograph_png() -> bytes:
    """A drawn radiograph of 96 x 72 pixels as PNG."""
    return encode(draw_radiograph())
