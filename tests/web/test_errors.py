"""Error responses: status, code and sentence, as JSON and as a page."""

from __future__ import annotations

from html import unescape

import numpy as np
import pytest

from tests.support.dicom_uploads import dicom
from tests.support.pictures import draw_radiograph, encode
from tests.support.serving import PAGE, send, settings
from utils.web.app import create_app

TEXT = b"Dear colleague, please find enclosed."


HTML = b"<!doctype html><title>x</title><script>alert(1)</script>"


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"


ZIP = b"PK\x03\x04" + bytes(60)


def _truncated(format: str) -> bytes:
    whole = encode(draw_radiograph(320, 240), format)
    return whole[: len(whole) // 2]


def _wrong_inputs() -> dict[str, tuple[bytes, int, str]]:
    blank = np.full((320, 240), 0.5, np.float32)
    return {
        "empty": (b"", 400, "unreadable_image"),
        "text": (TEXT, 415, "unsupported_format"),
        "html": (HTML, 415, "unsupported_format"),
        "svg": (SVG, 415, "unsupported_format"),
        "eps": (EPS, 415, "unsupported_format"),
        "zip": (ZIP, 415, "unsupported_format"),
        "truncated png": (_truncated("PNG"), 400, "unreadable_image"),
        "truncated jpeg": (_truncated("JPEG"), 400, "unreadable_image"),
        "truncated dicom": (dicom()[:-2000], 400, "unreadable_image"),
        "ct": (dicom(modality="CT"), 422, "not_a_radiograph"),
        "mr": (dicom(modality="MR"), 422, "not_a_radiograph"),
        "us": (dicom(modality="US"), 422, "not_a_radiograph"),
        "multi-frame": (dicom(frames=3), 422, "not_a_radiograph"),
        "blank": (encode(blank), 422, "not_a_radiograph"),
    }


@pytest.mark.parametrize("case", _wrong_inputs())
def test_json_and_page_have_the_same_error(client, case):
    content, status, code = _wrong_inputs()[case]
    answer = send(client, content)
    assert (answer.status_code, answer.json["error"]["code"]) == (status, code)
    assert set(answer.json) == {"error"}
    page = send(client, content, page=True)
    assert (page.status_code, page.mimetype) == (status, "text/html")
    assert answer.json["error"]["message"] in unescape(page.text)
    assert code in page.text
    assert 'type="file"' in page.text, "the mistake can be mended where it is shown"


@pytest.mark.parametrize(("modality", "named"), [("CT", "CT"), ("MR", "MR"), ("US", "ultrasound")])
def test_a_refused_modality_is_named(client, modality, named):
    assert named in send(client, dicom(modality=modality)).json["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("DELETE", "/predict", 405, "method_not_allowed"),
        ("POST", "/", 405, "method_not_allowed"),
        ("GET", "/static/../app.py", 404, "not_found"),
    ],
)
def test_framework_errors_are_json_or_a_page(client, method, path, status, code):
    answer = client.open(path, method=method)
    assert (answer.status_code, answer.json["error"]["code"]) == (status, code)
    page = client.open(path, method=method, headers=PAGE)
    assert (page.status_code, page.mimetype) == (status, "text/html")
    assert code in page.text
    assert answer.headers.get("Allow") == page.headers.get("Allow")
    assert ("Allow" in answer.headers) is (status == 405)


@pytest.mark.parametrize("page", [False, True])
def test_an_unhandled_exception_shows_only_the_id(tmp_path, caplog, page):
    app = create_app(settings(tmp_path))

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("the password is swordfish")

    answer = app.test_client().get("/broken", headers=PAGE if page else {})
    assert answer.status_code == 500
    assert "swordfish" not in answer.text
    assert "RuntimeError" not in answer.text
    assert answer.headers["X-Request-ID"] in answer.text
    assert "swordfish" in caplog.text
