"""The pages in a real Chromium: used by keyboard, on a phone, without a script, checked by axe-core."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import missing
from tests.support.bundles import altered_sidecar, tiny_bundle
from tests.support.dicom_uploads import dicom
from tests.support.pictures import draw_radiograph, encode
from tests.support.serving import listen, model, radiograph, settings, shared_app
from utils.imaging.overlay import STRENGTH
from utils.inference.input_warnings import InputWarning
from utils.web.app import create_app

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


pytestmark = pytest.mark.slow

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]


PHONE = {"width": 390, "height": 844}


DESK = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    sync_api = pytest.importorskip("playwright.sync_api")
    path = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if path is None:
        missing("there is no Chromium on this machine")
    with sync_api.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=path, args=FLAGS)
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
    yield from _page(browser, viewport=DESK)


@pytest.fixture(params=["light", "dark"])
def themed_page(browser, request) -> Iterator[Page]:
    """A page in each of the two colour schemes."""
    yield from _page(browser, viewport=DESK, color_scheme=request.param)


@pytest.fixture
def plain_page(browser) -> Iterator[Page]:
    """A page where no script runs."""
    yield from _page(browser, java_script_enabled=False, viewport=DESK)


@pytest.fixture
def phone(browser) -> Iterator[Page]:
    yield from _page(browser, viewport=PHONE, has_touch=True, is_mobile=True)


def _page(browser: Browser, **options: object) -> Iterator[Page]:
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
    # Chromium notes every answer of 400 and above, which some tests provoke.
    noise = "the server responded with a status of"
    assert [line for line in complaints if noise not in line] == []
    hosts = ("http://127.0.0.1:", "data:", "blob:")
    assert [url for url in called if not url.startswith(hosts)] == []


def read(page: Page, site: str, path: Path) -> None:
    """Choose a file and send it."""
    page.goto(site)
    page.set_input_files("#file", path)
    page.click("#send")
    page.wait_for_load_state()


def findings(page: Page) -> list[str]:
    """What axe-core finds: every rule it has but the experimental ones."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {[node['html'] for node in one['nodes']]}" for one in found]


def test_the_upload_page_has_no_finding(themed_page, site):
    page = themed_page
    page.goto(site)
    assert page.title() == "Read a radiograph · Fracture reader"
    assert findings(page) == []


def test_a_chosen_picture_is_previewed(themed_page, site, files):
    page = themed_page
    page.goto(site)
    page.set_input_files("#file", files / "hand.png")
    page.wait_for_selector("#preview-picture:visible")
    shown = "document.getElementById('preview-picture').naturalWidth"
    page.wait_for_function(f"{shown} === 240")
    assert findings(page) == []


def test_a_dicom_file_without_preview_is_answered(page, site, files):
    page.goto(site)
    page.set_input_files("#file", files / "wrist")
    page.wait_for_selector("#preview-note:visible")
    assert not page.is_visible("#preview-picture")
    page.click("#send")
    page.wait_for_selector("#verdict")
    assert "DICOM" in page.inner_text("dl")


def test_the_result_page_has_no_finding(themed_page, site, files):
    page = themed_page
    read(page, site, files / "hand.png")
    assert page.inner_text("#verdict") in ("Fracture Detected", "Normal")
    assert "probability of a fracture" in page.inner_text("main")
    assert findings(page) == []


@pytest.mark.parametrize("kind", ["positive", "negative", "withheld"])
def test_every_verdict_has_no_finding(themed_page, site, files, kind, monkeypatch):
    page = themed_page
    change_prediction(monkeypatch, kind)
    read(page, site, files / "hand.png")
    assert page.is_visible(f".verdict.{kind}")
    assert findings(page) == []


def test_a_page_with_all_metrics_has_no_finding(themed_page, tmp_path, files):
    page = themed_page
    tested = tiny_bundle(tmp_path)
    with altered_sidecar(tested) as sidecar:
        sidecar["metrics"]["test"] = {
            "sensitivity": {"value": 0.9, "low": 0.85, "high": 0.95},
            "specificity": {"value": 0.8, "low": 0.75, "high": 0.85},
            "localisation": {"n": 90, "pointing_game": {"value": 0.78, "low": None, "high": None}},
        }
    app = create_app(settings(tmp_path, model=tested, prevalence=0.1))
    with listen(app) as site:
        read(page, site, files / "hand.png")
        assert "10 % of the radiographs show a fracture" in page.inner_text(".predictive-value")
        assert "inside it in 78 of 100." in page.inner_text(".facts")
        assert findings(page) == []


def change_prediction(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Show another answer than the untrained network's, which is always in doubt."""
    from utils.web import predict as routes

    original = routes.result_page
    changes: dict[str, dict[str, object]] = {
        "positive": {
            "prediction": "Fracture Detected",
            "probability": 0.934,
            "certainty": "definite",
        },
        "negative": {"prediction": "Normal", "probability": 0.043, "certainty": "definite"},
        "withheld": {
            "prediction": None,
            "confidence": None,
            "probability": None,
            "heatmap": None,
            "peak": None,
            "certainty": "withheld",
            "warnings": (InputWarning("not_a_radiograph", "This looks like no radiograph."),),
        },
    }
    monkeypatch.setattr(
        routes,
        "result_page",
        lambda prediction, **rest: original(replace(prediction, **changes[kind]), **rest),
    )


def test_the_slider_sets_the_strength_of_the_map(page, site, files):
    read(page, site, files / "hand.png")
    opacity = "getComputedStyle(document.getElementById('map')).opacity"
    assert page.evaluate(opacity) == str(STRENGTH), "as strong as in the blended picture"
    page.focus("#strength")
    page.keyboard.press("End")
    assert page.evaluate(opacity) == "1"
    page.keyboard.press("Home")
    assert page.evaluate(opacity) == "0"
    assert page.inner_text("#strength-value") == "0 %"


def test_the_map_lies_exactly_on_the_radiograph(page, site, files):
    read(page, site, files / "hand.png")
    boxes = page.evaluate(
        """() => [...document.getElementById('map').parentNode.querySelectorAll('image')].map((one) => {
            const box = one.getBoundingClientRect();
            return [box.x, box.y, box.width, box.height].map(Math.round);
        })"""
    )
    assert len(boxes) == 2
    assert boxes[0] == boxes[1]


def test_the_peak_mark_can_be_hidden(page, site, files):
    read(page, site, files / "hand.png")
    assert page.is_visible("#peak")
    page.uncheck("#show-peak")
    assert not page.is_visible("#peak")


def test_under_a_normal_verdict_no_peak_is_marked(page, site, files, monkeypatch):
    change_prediction(monkeypatch, "negative")
    read(page, site, files / "hand.png")
    assert not page.is_visible("#peak")
    page.check("#show-peak")
    assert page.is_visible("#peak")


def test_a_printed_result_has_no_controls(page, site, files):
    read(page, site, files / "hand.png")
    page.emulate_media(media="print")
    assert page.is_visible("#verdict")
    assert page.locator(".view:visible").count() == 2
    assert page.is_visible(".legend")
    for control in ("#strength", "#show-peak", ".next", ".bar"):
        assert not page.is_visible(control)


def test_a_refused_file_is_explained_in_place(themed_page, site, files):
    page = themed_page
    read(page, site, files / "letter.txt")
    alert = page.locator("[role=alert]")
    assert "unsupported_format" in alert.inner_text()
    assert page.evaluate("document.activeElement.id") == "fault"
    assert page.title().startswith("Not read")
    assert findings(page) == []
    page.set_input_files("#file", files / "hand.png")
    assert alert.is_hidden()
    page.click("#send")
    page.wait_for_selector("#verdict")


def test_a_file_over_the_limit_is_not_even_sent(themed_page, small_site, files):
    page = themed_page
    page.goto(small_site)
    page.set_input_files("#file", files / "large.png")
    assert "at most 1 MB" in page.inner_text("[role=alert]")
    page.click("#send")
    assert page.url == f"{small_site}/"
    assert findings(page) == []


def test_the_error_page_has_no_finding(themed_page, site):
    page = themed_page
    page.goto(f"{site}/nothing")
    assert "404" in page.inner_text("main")
    assert findings(page) == []


def test_a_dropped_file_is_chosen(page, site):
    page.goto(site)
    drop = """(count) => {
        const carried = new DataTransfer();
        for (let number = 0; number < count; number += 1)
            carried.items.add(new File(["x"], `${number}.png`));
        document.getElementById("drop").dispatchEvent(
            new DragEvent("drop", { dataTransfer: carried, bubbles: true, cancelable: true }));
    }"""
    page.evaluate(drop, 1)
    assert page.evaluate("document.getElementById('file').files.length") == 1
    page.evaluate(drop, 2)
    assert "one radiograph at a time" in page.inner_text("[role=alert]")


def test_the_whole_way_goes_by_keyboard_alone(page, site, files):
    # A listener from the start: the browser hands choosers over only when somebody listens,
    # and a key pressed right after that may come first.
    page.on("filechooser", lambda chooser: None)
    page.goto(site)
    order = []
    for _ in range(5):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert order[:4] == ["skip", "brand", "file", "send"]
    page.focus("#file")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(files / "hand.png")
    page.wait_for_function("document.getElementById('file').files.length === 1")
    page.focus("#file")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#verdict")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent").strip() == "Read another radiograph":
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("#file")


def test_the_focus_can_be_seen(page, site):
    page.goto(site)
    for selector in ("#file", "#send", ".brand"):
        page.focus(selector)
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Tab")
        width = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert float(width.removesuffix("px")) >= 2


def test_a_busy_button_sends_only_once(page, site, files):
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.goto(site)
    page.set_input_files("#file", files / "hand.png")
    shown = page.evaluate(
        """() => {
            const button = document.getElementById("send");
            button.click();
            button.click();
            return [button.ariaDisabled, button.innerText, document.getElementById("status").innerText];
        }"""
    )
    assert shown == ["true", "Reading the radiograph …", "The radiograph is being read."]
    page.wait_for_selector("#verdict")
    assert sent.count("POST") == 1


def test_a_phone_never_scrolls_sideways(phone, site, files):
    for path in ("hand.png", "letter.txt", None):
        if path is None:
            phone.goto(f"{site}/nothing")
        else:
            read(phone, site, files / path)
        widths = phone.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1] == PHONE["width"]
        assert findings(phone) == []


def test_form_and_result_work_without_a_script(plain_page, site, files):
    read(plain_page, site, files / "hand.png")
    assert plain_page.is_visible("#verdict")
    assert plain_page.is_visible("#map")
    assert not plain_page.is_visible("#strength"), "what cannot work is not offered"


def test_two_radiographs_get_two_answers(page, site, files):
    shown = []
    for name in ("hand.png", "second.png"):
        read(page, site, files / name)
        shown.append(page.get_attribute(".view image", "href"))
    assert shown[0] != shown[1]


def test_a_page_from_the_browsers_cache_can_send(page, site, files):
    read(page, site, files / "hand.png")
    page.go_back()
    page.wait_for_selector("#send")
    assert page.get_attribute("#send", "aria-disabled") is None


def test_going_back_shows_the_chosen_file(page, site, files):
    read(page, site, files / "hand.png")
    page.go_back()
    page.wait_for_selector("#preview-picture:visible")
    page.wait_for_function("document.getElementById('preview-picture').naturalWidth === 240")
    assert page.evaluate("document.getElementById('file').files.length") == 1
    assert page.inner_text("#status") == "A file is chosen."
    assert page.is_hidden("#fault")
    page.click("#send")
    page.wait_for_selector("#verdict")
