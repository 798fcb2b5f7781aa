"""The upload page in a real Chromium: slow lines, lost connections, errors in place, Back and Forward."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.browser import findings, read

pytestmark = pytest.mark.slow

TRIES_AGAIN = "The file is kept: press “Check the X-ray” to try again."


def slow_line(page, bytes_a_second: int) -> None:
    """Let the browser send slowly, 0 for at full speed."""
    session = page.context.new_cdp_session(page)
    speeds = {"downloadThroughput": -1, "uploadThroughput": bytes_a_second or -1}
    session.send("Network.emulateNetworkConditions", {"offline": False, "latency": 0, **speeds})


def chosen_names(page) -> list[str]:
    return page.evaluate("[...document.getElementById('file').files].map((file) => file.name)")


def send_slowly(page, site, files, bytes_a_second: int) -> None:
    """Begin to send a large picture over a slow line."""
    page.goto(site)
    page.set_input_files("#file", files / "large.png")
    slow_line(page, bytes_a_second)
    page.click("#send")


def test_the_upload_is_shown_as_it_goes(page, site, files):
    send_slowly(page, site, files, 200_000)
    page.wait_for_selector("#progress[value]")
    assert page.inner_text("#send-text") == "Sending the picture …"
    assert re.fullmatch(r"\d\.\d of 2\.0 MB", page.inner_text("#sent"))
    assert page.is_disabled("#file")
    assert findings(page) == []
    slow_line(page, 0)
    page.wait_for_selector("#verdict")


def test_an_upload_can_be_stopped(page, site, files):
    send_slowly(page, site, files, 100_000)
    page.click("#stop")
    assert page.inner_text("#send-text") == "Check the X-ray"
    assert page.is_hidden("#sending")
    assert page.is_hidden("#fault")
    assert chosen_names(page) == ["large.png"]
    slow_line(page, 0)
    page.click("#send")
    page.wait_for_selector("#verdict")


def test_offline_says_so_and_keeps_the_file(page, site, files):
    page.goto(site)
    page.set_input_files("#file", files / "hand.png")
    page.context.set_offline(True)
    page.click("#send")
    page.wait_for_selector("#fault:not([hidden])")
    assert page.inner_text("#fault-text") == "You are offline."
    assert page.inner_text("#fault-kept") == TRIES_AGAIN
    assert page.evaluate("document.activeElement.id") == "fault"
    assert chosen_names(page) == ["hand.png"]
    page.context.set_offline(False)
    page.click("#send")
    page.wait_for_selector("#verdict")


def test_a_broken_connection_keeps_the_file(page, site, files):
    page.goto(site)
    page.set_input_files("#file", files / "hand.png")
    page.route("**/predict", lambda route: route.abort("connectionreset"))
    page.click("#send")
    page.wait_for_selector("#fault:not([hidden])")
    assert page.inner_text("#fault-text") == "The connection broke before the answer came."
    assert page.inner_text("#fault-kept") == TRIES_AGAIN


@pytest.mark.parametrize("status", [408, 429, 502, 503])
def test_what_may_work_later_keeps_the_file(page, site, files, status):
    page.goto(site)
    page.set_input_files("#file", files / "hand.png")
    page.route("**/predict", lambda route: route.fulfill(status=status, body="<h1>proxy</h1>"))
    page.click("#send")
    page.wait_for_selector("#fault:not([hidden])")
    assert page.inner_text("#fault-text") == "The server did not answer as it should."
    assert page.text_content("#fault-code") == str(status)
    assert page.inner_text("#fault-kept") == TRIES_AGAIN
    page.unroute("**/predict")
    page.click("#send")
    page.wait_for_selector("#verdict")


def test_a_refused_file_is_not_tried_again(page, site, files):
    read(page, site, files / "letter.txt")
    assert page.url == f"{site}/"
    assert page.is_hidden("#fault-kept")
    assert page.inner_text("#send-text") == "Check the X-ray"


def test_an_expired_form_works_at_the_next_try(page, site, files):
    page.goto(site)
    page.set_input_files("#file", files / "hand.png")
    page.context.clear_cookies()
    page.click("#send")
    page.wait_for_selector("#fault:not([hidden])")
    assert page.text_content("#fault-code") == "csrf_failed"
    assert page.inner_text("#fault-kept") == TRIES_AGAIN
    page.click("#send")
    page.wait_for_selector("#verdict")


def test_a_file_that_is_gone_is_named(page, site, files, tmp_path):
    gone = tmp_path / "gone.png"
    gone.write_bytes((files / "large.png").read_bytes())
    page.goto(site)
    page.set_input_files("#file", gone)
    page.wait_for_selector("#preview-picture:visible")
    gone.unlink()
    page.click("#send")
    page.wait_for_selector("#fault:not([hidden])")
    assert "cannot be read any more" in page.inner_text("#fault-text")


def test_back_and_forward_turn_the_pages(page, site, files: Path):
    read(page, site, files / "hand.png")
    page.wait_for_selector("#verdict")
    assert page.url == f"{site}/predict"
    title = page.title()
    page.go_back()
    page.wait_for_selector("#file")
    assert page.url == f"{site}/"
    assert chosen_names(page) == ["hand.png"]
    page.go_forward()
    page.wait_for_selector("#verdict")
    assert page.title() == title
    page.reload()
    page.wait_for_selector("#file")
    assert page.url == f"{site}/"


def test_the_answers_controls_work_in_place(page, site, files):
    read(page, site, files / "hand.png")
    assert page.evaluate("document.activeElement.id") == "main"
    page.evaluate(
        """() => {
            const strength = document.getElementById("strength");
            strength.value = 20;
            strength.dispatchEvent(new Event("input"));
        }"""
    )
    assert page.evaluate("document.getElementById('map').style.opacity") == "0.2"
