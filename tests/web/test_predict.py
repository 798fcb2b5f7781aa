"""What each address answers, to a script and to a browser."""

from __future__ import annotations

import base64
import io
import re
from html import unescape

import cv2
import numpy as np
import pytest
from flask.testing import FlaskClient

from tests.support.bundles import altered_sidecar, tiny_bundle
from tests.support.dicom_uploads import dicom
from tests.support.pictures import draw_radiograph, encode
from tests.support.serving import PAGE, radiograph, send, settings, shared_app, token
from utils.inference.predictor import DISCLAIMER, load_predictor
from utils.web.app import create_app
from utils.web.middleware.negotiation import wants_page


@pytest.fixture
def client() -> FlaskClient:
    return shared_app().test_client()


def _picture(uri: str) -> np.ndarray:
    content = base64.b64decode(uri.split(",", 1)[1])
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


def test_a_script_gets_the_documented_object(client):
    answer = send(client, radiograph())
    assert answer.status_code == 200
    assert list(answer.json) == [
        "prediction",
        "confidence",
        "probability",
        "threshold",
        "certainty",
        "predictive_value",
        "label_meaning",
        "region",
        "heatmap",
        "overlay",
        "peak",
        "image",
        "warnings",
        "model",
        "timing_ms",
        "disclaimer",
    ]
    assert answer.json["image"] == {"width": 240, "height": 320, "format": "png"}
    assert answer.json["disclaimer"] == DISCLAIMER


def test_the_answer_is_what_the_reader_says(client):
    reader = shared_app().extensions["predictor_service"].predictor()
    said = reader.read(radiograph()).as_json()
    answered = send(client, radiograph()).json
    del said["timing_ms"], answered["timing_ms"]
    assert answered == said


def test_the_pictures_have_the_originals_aspect_and_their_kinds(client):
    answer = send(client, radiograph()).json
    assert answer["heatmap"].startswith("data:image/png;base64,")
    assert answer["overlay"].startswith("data:image/jpeg;base64,")
    assert _picture(answer["heatmap"]).shape == (320, 240, 4)
    assert _picture(answer["overlay"]).shape == (320, 240, 3)


def test_overlay_0_leaves_the_blended_picture_out_and_the_map_in(client):
    answer = send(client, radiograph(), query="?overlay=0").json
    assert answer["overlay"] is None
    assert answer["heatmap"] is not None


def test_another_value_of_overlay_is_refused(client):
    answer = send(client, radiograph(), query="?overlay=maybe")
    assert answer.status_code == 400
    assert answer.json["error"]["message"] == "overlay is 0 or 1"


def test_a_browser_with_the_token_gets_a_page_with_the_whole_answer(client):
    page = send(client, radiograph(), page=True)
    said = send(client, radiograph()).json
    text = re.sub(r"\s+", " ", unescape(page.text))
    assert page.status_code == 200
    assert page.mimetype == "text/html"
    for part in (said["prediction"], said["label_meaning"], DISCLAIMER, said["heatmap"]):
        assert part in text
    assert said["model"]["architecture"] in text
    assert said["model"]["sha256"][:12] in text
    assert said["region"]["label"].capitalize() in text
    assert f"{said['probability'] * 100:.0f} %" in text
    assert f"Threshold {said['threshold'] * 100:.0f} %" in text


def test_the_page_shows_the_radiograph_itself_beside_the_map(client):
    page = send(client, radiograph(), page=True).text
    shown = _picture(re.search(r'href="(data:image/jpeg[^"]+)"', page)[1])
    sent = np.rint(draw_radiograph(320, 240, fractured=True) * 255)
    assert shown.shape == sent.shape
    assert np.abs(shown.astype(float) - sent).mean() < 4


def test_the_upload_page_is_at_the_root(client):
    page = client.get("/")
    assert page.status_code == 200
    assert 'type="file"' in page.text
    assert DISCLAIMER in unescape(page.text)


def test_a_reloaded_result_leads_back_to_the_upload_page(client):
    answer = client.get("/predict")
    assert (answer.status_code, answer.location) == (302, "/")


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        (None, False),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/html", False),
        ("text/html;q=0.5, application/json", False),
        ("text/html;q=0, */*", False),
        ("image/*, */*;q=0.1", False),
        ("text/html", True),
        ("TEXT/HTML", True),
        ("text/html, */*;q=0.1", True),
        (PAGE["Accept"], True),
    ],
)
def test_a_page_goes_to_whoever_prefers_html(accept, page):
    headers = {} if accept is None else {"Accept": accept}
    with shared_app().test_request_context(headers=headers) as context:
        assert wants_page(context.request) is page


def test_a_form_without_the_token_is_refused_before_it_is_read(client):
    answer = client.post(
        "/predict", data={"file": (io.BytesIO(radiograph()), "a.png")}, headers=PAGE
    )
    assert answer.status_code == 400
    assert "csrf_failed" in answer.text
    assert "Fracture Detected" not in answer.text


def test_the_token_of_another_session_is_refused(client):
    stranger = token(shared_app().test_client().get("/").text)
    client.get("/")
    form = {"file": (io.BytesIO(radiograph()), "a.png"), "csrf_token": stranger}
    assert client.post("/predict", data=form, headers=PAGE).status_code == 400


def test_behind_tls_the_form_works_with_the_referrer_that_our_policy_lets_through(client):
    base = "https://reader.example/"
    form = {
        "file": (io.BytesIO(radiograph()), "a.png"),
        "csrf_token": token(client.get("/", base_url=base).text),
    }
    sent = client.post("/predict", base_url=base, data=form, headers=PAGE | {"Referer": base})
    assert sent.status_code == 200
    assert sent.headers["Referrer-Policy"] == "same-origin"


def test_a_script_needs_no_token_and_gets_no_cookie(client):
    answer = send(client, radiograph())
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers


def test_the_cookie_is_out_of_reach_of_scripts_and_of_plain_http_where_asked(tmp_path):
    client = create_app(settings(tmp_path, cookie_secure=True)).test_client()
    cookie = client.get("/").headers["Set-Cookie"]
    assert {"HttpOnly", "Secure", "SameSite=Lax"} <= set(cookie.split("; "))


def test_a_trusted_proxy_says_which_scheme_and_host_the_browser_sees(tmp_path):
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "reader.example"}
    address = "https://reader.example/predict"
    for proxies, believed in ((1, True), (0, False)):
        client = create_app(settings(tmp_path, trusted_proxies=proxies)).test_client()
        assert (address in client.get("/", headers=forwarded).text) is believed


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
def test_a_wrong_file_gets_the_same_code_and_sentence_as_json_and_as_a_page(client, case):
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


def test_a_plain_dicom_radiograph_is_read(client):
    answer = send(client, dicom())
    assert answer.status_code == 200
    assert answer.json["image"]["format"] == "dicom"


def test_no_file_at_all(client):
    for form in ({}, {"note": "hello"}, {"file": "a string, no file part"}):
        answer = client.post("/predict", data=form, content_type="multipart/form-data")
        assert (answer.status_code, answer.json["error"]["code"]) == (400, "no_file")


def test_an_empty_choice_in_the_form_is_no_file(client):
    answer = send(client, b"", name="", page=True)
    assert answer.status_code == 400
    assert "no_file" in answer.text


def test_a_raw_body_is_told_how_to_send_a_file(client):
    answer = client.post("/predict", data=radiograph(), content_type="image/png")
    assert answer.status_code == 400
    assert "multipart/form-data" in answer.json["error"]["message"]


@pytest.mark.parametrize("second", ["file", "other"])
def test_two_files_are_refused(client, second):
    parts = [("file", (io.BytesIO(radiograph()), "a.png"))]
    parts.append((second, (io.BytesIO(radiograph()), "b.png")))
    from werkzeug.datastructures import MultiDict

    answer = client.post("/predict", data=MultiDict(parts))
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "several_files")


def test_a_form_that_ends_early_is_refused(client):
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc'
    answer = client.post("/predict", data=body, content_type="multipart/form-data; boundary=x")
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "bad_form")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("DELETE", "/predict", 405, "method_not_allowed"),
        ("POST", "/", 405, "method_not_allowed"),
        ("GET", "/static/../app.py", 404, "not_found"),
    ],
)
def test_the_frameworks_own_errors_come_in_the_callers_form(client, method, path, status, code):
    answer = client.open(path, method=method)
    assert (answer.status_code, answer.json["error"]["code"]) == (status, code)
    page = client.open(path, method=method, headers=PAGE)
    assert (page.status_code, page.mimetype) == (status, "text/html")
    assert code in page.text
    assert answer.headers.get("Allow") == page.headers.get("Allow")
    assert ("Allow" in answer.headers) is (status == 405)


@pytest.mark.parametrize("page", [False, True])
def test_an_unforeseen_fault_tells_nothing_but_the_requests_id(tmp_path, caplog, page):
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


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/predict", 302),
        ("POST", "/predict", 400),
        ("GET", "/readyz", 200),
        ("GET", "/healthz", 200),
        ("GET", "/nothing", 404),
        ("PUT", "/predict", 405),
    ],
)
@pytest.mark.parametrize("headers", [{}, PAGE], ids=["script", "browser"])
def test_every_answer_carries_the_security_headers_and_is_kept_nowhere(
    client, method, path, status, headers
):
    answer = client.open(path, method=method, headers=headers)
    assert answer.status_code == status
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "camera=()" in answer.headers["Permissions-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_static_files_are_cached_by_the_hash_in_their_address(client):
    address = re.search(r'href="(/static/style.css\?v=[0-9a-f]{12})"', client.get("/").text)[1]
    answer = client.get(address)
    assert answer.status_code == 200
    assert "immutable" in answer.headers["Cache-Control"]
    assert client.get("/static/none.css").headers["Cache-Control"] == "no-store"


def test_no_page_holds_an_inline_script_or_style(client):
    pages = [
        client.get("/").text,
        client.get("/nothing", headers=PAGE).text,
        send(client, radiograph(), page=True).text,
        send(client, TEXT, page=True).text,
    ]
    for page in pages:
        assert "style=" not in page
        assert "<style" not in page
        assert not re.search(r"\son\w+=", page)
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))


def test_a_ready_server_names_its_model(client):
    answer = client.get("/readyz")
    bundle = shared_app().extensions["predictor_service"].predictor().bundle
    assert answer.status_code == 200
    assert answer.json == {
        "status": "ready",
        "model": {"architecture": "custom", "sha256": bundle.sha256},
    }


def test_the_verdict_differs_with_certainty_by_words_and_sign(tmp_path):
    from dataclasses import replace

    from utils.web.pages import legend, result_page

    reader = load_predictor(shared_app().extensions["predictor_service"].model)
    reading = reader.read(radiograph(), page=True)
    readings = {
        "positive": replace(reading, prediction="Fracture Detected", certainty="definite"),
        "negative": replace(reading, prediction="Normal", certainty="definite"),
        "doubtful": replace(reading, prediction="Normal", certainty="doubtful"),
        "withheld": replace(
            reading,
            prediction=None,
            confidence=None,
            probability=None,
            heatmap=None,
            peak=None,
            certainty="withheld",
        ),
    }
    signs, words = set(), set()
    for tone, one in readings.items():
        result = result_page(one, doubt=(0.4, 0.6), positive="Fracture Detected")
        with shared_app().test_request_context():
            page = shared_app().jinja_env.get_template("predict/result.html")
            text = page.render(
                result=result,
                legend=legend(),
                asset=lambda name: name,
                disclaimer=DISCLAIMER,
            )
        assert f"verdict {tone}" in text
        signs.add(re.search(r"<h1.*?<svg.*?>(.*?)</svg>", text, re.DOTALL)[1].strip())
        words.add(re.search(r'<p class="certainty">(.*?)</p>', text, re.DOTALL)[1])
        if tone == "withheld":
            assert "No result" in text
            assert 'id="map"' not in text
            assert "probability of a fracture" not in text
    assert len(signs) == 4
    assert len(words) == 3


FIGURES = {
    "sensitivity": {"value": 0.9, "low": 0.85, "high": 0.95},
    "specificity": {"value": 0.8, "low": 0.75, "high": 0.85},
    "localisation": {
        "n": 90,
        "pointing_game": {"value": 0.776, "low": 0.69, "high": 0.856},
    },
}


@pytest.fixture
def tested(tmp_path_factory):
    """A model that tells how good it is."""
    model = tiny_bundle(tmp_path_factory.mktemp("tested"))
    with altered_sidecar(model) as sidecar:
        sidecar["metrics"]["test"] = FIGURES
    return model


def test_the_operators_prevalence_reaches_both_forms_of_the_answer(tested, tmp_path):
    client = create_app(settings(tmp_path, model=tested, prevalence=0.125)).test_client()
    answer = send(client, radiograph()).json
    worth = answer["predictive_value"]
    # Of 800: 90 found of 100, 140 called by mistake, 560 rightly not, 10 missed.
    expected = {"Fracture Detected": 90 / 230, "Normal": 560 / 570}[answer["prediction"]]
    assert worth["value"] == pytest.approx(expected)
    text = re.sub(r"\s+", " ", unescape(send(client, radiograph(), page=True).text))
    assert (
        f"Where 12.5 % of the radiographs show a fracture, {expected * 100:.0f} of 100 answers "
        f"“{answer['prediction']}” are right (95 % interval {worth['low'] * 100:.0f} to "
        f"{worth['high'] * 100:.0f}): all such answers together, sure and doubtful ones."
    ) in text


def test_the_page_says_how_often_the_maps_highest_point_is_right(tested, tmp_path):
    client = create_app(settings(tmp_path, model=tested)).test_client()
    text = re.sub(r"\s+", " ", unescape(send(client, radiograph(), page=True).text))
    assert (
        "On 90 test radiographs with a marked fracture the highest point of the map lay inside it in 78 "
        "of 100 (95 % interval 69 to 86)."
    ) in text
    assert "radiographs show a fracture" not in text


def test_a_page_says_nothing_of_figures_that_the_model_does_not_tell(client):
    text = send(client, radiograph(), page=True).text
    assert "test radiographs" not in text
    assert "of 100" not in text
