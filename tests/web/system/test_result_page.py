"""The result page in a real Chromium: each verdict, the map's controls, the print."""

from __future__ import annotations

import re
import subprocess
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest

from tests.support.browser import FLAGS, PHONE, findings, open_page, read
from tests.support.bundles import altered_sidecar, tiny_bundle
from tests.support.processes import ROOT
from tests.support.serving import listen, radiograph, send, settings, shared_app
from tests.support.verdicts import VERDICTS, verdict
from utils import __version__
from utils.imaging.overlay import STRENGTH
from utils.web import predict as routes
from utils.web.app import create_app

pytestmark = pytest.mark.slow


def test_the_result_page_has_no_finding(themed_page, site, files):
    page = themed_page
    read(page, site, files / "hand.png")
    assert page.inner_text("#verdict").startswith("Not certain")
    assert "probability of a fracture" in page.inner_text("main")
    assert findings(page) == []


@pytest.mark.parametrize("kind", VERDICTS)
def test_every_verdict_has_no_finding(themed_page, site, files, kind, monkeypatch):
    page = themed_page
    show(monkeypatch, kind)
    read(page, site, files / "hand.png")
    page.click("summary")
    assert page.is_visible(".facts dl")
    assert findings(page) == []


@pytest.mark.parametrize("kind", VERDICTS)
def test_a_phones_first_screen_has_the_verdict(phone, site, files, kind, monkeypatch):
    show(monkeypatch, kind)
    read(phone, site, files / "hand.png")
    card = phone.locator(".verdict").bounding_box()
    assert card["y"] + card["height"] < PHONE["height"]
    assert phone.locator(".pair").bounding_box()["y"] < 1000
    widths = phone.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert widths[0] <= widths[1]


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


def show(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Show another verdict than the untrained network's."""
    original = routes.result_page
    monkeypatch.setattr(
        routes,
        "result_page",
        lambda prediction, **rest: original(verdict(prediction, kind), **rest),
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
    show(monkeypatch, "negative")
    read(page, site, files / "hand.png")
    assert not page.is_visible("#peak")
    page.check("#show-peak")
    assert page.is_visible("#peak")


@pytest.mark.parametrize("paper", ["A4", "Letter"])
@pytest.mark.parametrize("kind", VERDICTS)
def test_a_result_prints_on_one_sheet(page, site, files, kind, paper, monkeypatch):
    show(monkeypatch, kind)
    read(page, site, files / "hand.png")
    assert sheets(page.pdf(format=paper)) == 1


def test_chromium_itself_prints_one_sheet(tmp_path, chromium):
    page = send(shared_app().test_client(), radiograph(), page=True).text
    style = (ROOT / "static" / "style.css").read_text()
    shown = tmp_path / "result.html"
    shown.write_text(re.sub(r'<link rel="stylesheet"[^>]*>', f"<style>{style}</style>", page))
    target = tmp_path / "result.pdf"
    flags = [*FLAGS, "--headless", f"--print-to-pdf={target}", f"--user-data-dir={tmp_path}"]
    subprocess.run([chromium, *flags, shown.as_uri()], check=True, capture_output=True)
    assert sheets(target.read_bytes()) == 1


def sheets(pdf: bytes) -> int:
    """Return the number of a PDF's pages."""
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


def test_a_print_has_no_controls(page, site, files):
    read(page, site, files / "hand.png")
    page.emulate_media(media="print")
    assert page.is_visible("#verdict")
    assert page.is_visible(".verdict .disclaimer")
    assert page.locator(".view:visible").count() == 2
    assert page.is_visible(".legend")
    for control in ("#strength", "#show-peak", "#print", "summary", ".next", ".bar"):
        assert not page.is_visible(control)


def test_a_prints_pictures_are_side_by_side(page, site, files):
    read(page, site, files / "hand.png")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 703, "height": 1032})
    first, second = (one.bounding_box() for one in page.locator(".view").all())
    assert first["x"] + first["width"] <= second["x"]
    assert min(first["height"], second["height"]) > 300
    assert first["y"] == second["y"]


def test_a_print_names_time_product_and_model(page, site, files):
    read(page, site, files / "hand.png")
    page.emulate_media(media="print")
    record = page.inner_text(".record dl")
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", record)
    assert f"Fracture reader {__version__}" in record
    assert re.search(r"custom, [0-9a-f]{12}\b", record)


def test_the_local_time_stands_beside_the_servers(browser, site, files):
    with contextmanager(open_page)(browser, timezone_id="Asia/Tokyo") as page:
        read(page, site, files / "hand.png")
        server, local = page.inner_text("#answered"), page.inner_text("#local-time")
    passed = datetime.fromisoformat(local[:16]) - datetime.fromisoformat(server[:16])
    assert passed == timedelta(hours=9)
    assert local.endswith("Asia/Tokyo")


def test_a_reference_is_printed_and_never_sent(page, site, files):
    read(page, site, files / "hand.png")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.fill("#reference", "Ward 3, bed 12")
    page.keyboard.press("Enter")
    page.emulate_media(media="print")
    assert page.is_visible("#reference")
    assert page.input_value("#reference") == "Ward 3, bed 12"
    assert page.evaluate("document.getElementById('reference').form") is None
    assert sent == []
