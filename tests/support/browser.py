"""Chromium pages of the system tests: opened, used, checked by axe-core."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}


def open_page(browser: Browser, **options: object) -> Iterator[Page]:
    """Open a page, and fail at its end if the browser logged an error or called another host."""
    context = browser.new_context(**options)  # type: ignore[arg-type]
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    called: list[str] = []
    opened.on("request", lambda request: called.append(request.url))
    yield opened
    context.close()
    # Chromium notes each answer of 400 and above and each broken connection, which some tests provoke.
    noise = "Failed to load resource: "
    assert [line for line in complaints if noise not in line] == []
    hosts = ("http://127.0.0.1:", "data:", "blob:")
    assert [url for url in called if not url.startswith(hosts)] == []


def read(page: Page, site: str, path: Path) -> None:
    """Choose a file, send it, and wait for the answer or the error."""
    page.goto(site)
    page.set_input_files("#file", path)
    page.click("#send")
    page.wait_for_selector("#verdict, #fault:not([hidden])")


def findings(page: Page) -> list[str]:
    """What axe-core finds: every rule it has but the experimental ones."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {[node['html'] for node in one['nodes']]}" for one in found]
