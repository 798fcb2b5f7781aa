"""Fixtures of the system tests: a Chromium, a site, files to send."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import missing
from tests.support.browser import DESK, FLAGS, PHONE, open_page
from tests.support.dicom_uploads import dicom
from tests.support.pictures import draw_radiograph, encode
from tests.support.serving import listen, model, radiograph, settings, shared_app
from utils.web.app import create_app

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the system's Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((path for name in names if (path := shutil.which(name))), None)
    if path is None:
        missing("there is no Chromium on this machine")
    assert path
    return path


@pytest.fixture(scope="module")
def browser(chromium) -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with listen(shared_app()) as url:
        yield url


@pytest.fixture(scope="module")
def small_site(tmp_path_factory) -> Iterator[str]:
    """A site that takes files of 1 MB."""
    folder = tmp_path_factory.mktemp("small")
    with listen(create_app(settings(folder, model=model(), max_upload_mb=1))) as url:
        yield url


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    (folder / "hand.png").write_bytes(radiograph())
    (folder / "second.png").write_bytes(encode(draw_radiograph(320, 240, seed=4)))
    (folder / "wrist").write_bytes(dicom())
    (folder / "letter.txt").write_bytes(b"Dear colleague")
    (folder / "large.png").write_bytes(radiograph() + bytes(2 * 2**20))
    return folder


@pytest.fixture
def page(browser) -> Iterator[Page]:
    yield from open_page(browser, viewport=DESK)


@pytest.fixture(params=["light", "dark"])
def themed_page(browser, request) -> Iterator[Page]:
    """A page in each of the two colour schemes."""
    yield from open_page(browser, viewport=DESK, color_scheme=request.param)


@pytest.fixture
def plain_page(browser) -> Iterator[Page]:
    """A page where no script runs."""
    yield from open_page(browser, java_script_enabled=False, viewport=DESK)


@pytest.fixture
def phone(browser) -> Iterator[Page]:
    yield from open_page(browser, viewport=PHONE, has_touch=True, is_mobile=True)
