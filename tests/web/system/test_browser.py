"""The pages in a real Chromium: used by keyboard, on a phone, without a script, checked by axe-core."""

from __future__ import annotations

import pytest

from tests.support.browser import PHONE, findings, read

pytestmark = pytest.mark.slow


def test_the_upload_page_has_no_finding(themed_page, site):
    page = themed_page
    page.goto(site)
    assert page.title() == "Check an X-ray for a fracture · Fracture reader"
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
    assert "DICOM" in page.text_content("main")


def test_a_refused_file_is_explained_in_place(themed_page, site, files):
    page = themed_page
    read(page, site, files / "letter.txt")
    alert = page.locator("[role=alert]")
    assert page.evaluate("document.activeElement.id") == "fault"
    assert "unsupported_format" not in alert.inner_text()
    page.click("#fault-details summary")
    assert "unsupported_format" in alert.inner_text()
    assert page.title().startswith("Not checked")
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
    assert "one X-ray at a time" in page.inner_text("[role=alert]")


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
        if page.evaluate("document.activeElement.textContent").strip() == "Check another X-ray":
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
    assert shown == ["true", "Preparing the picture …", "Preparing the picture …"]
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
