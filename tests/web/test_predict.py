"""Upload page and POST /predict, for a script and for a browser."""

from __future__ import annotations

import base64
import io
import re
from html import unescape

import cv2
import numpy as np

from tests.support.answers import FIELDS
from tests.support.dicom_uploads import dicom
from tests.support.pictures import draw_radiograph
from tests.support.serving import PAGE, radiograph, send, shared_app, token
from utils.inference.prediction import disclaimer


def _picture(uri: str) -> np.ndarray:
    content = base64.b64decode(uri.split(",", 1)[1])
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


def test_a_script_gets_the_documented_object(client):
    answer = send(client, radiograph())
    assert answer.status_code == 200
    assert list(answer.json) == FIELDS
    assert answer.json["image"] == {"width": 240, "height": 320, "format": "png"}
    assert answer.json["disclaimer"] == disclaimer()


def test_the_answer_is_the_predictors(client):
    predictor = shared_app().extensions["predictor_service"].predictor()
    expected = predictor.predict(radiograph()).as_json()
    answered = send(client, radiograph()).json
    del expected["timing_ms"], answered["timing_ms"]
    assert answered == expected


def test_map_and_overlay_keep_the_aspect(client):
    answer = send(client, radiograph()).json
    assert answer["heatmap"].startswith("data:image/png;base64,")
    assert answer["overlay"].startswith("data:image/jpeg;base64,")
    assert _picture(answer["heatmap"]).shape == (320, 240, 4)
    assert _picture(answer["overlay"]).shape == (320, 240, 3)


def test_overlay_0_leaves_out_the_overlay_alone(client):
    answer = send(client, radiograph(), query="?overlay=0").json
    assert answer["overlay"] is None
    assert answer["heatmap"] is not None


def test_another_value_of_overlay_is_refused(client):
    answer = send(client, radiograph(), query="?overlay=maybe")
    assert answer.status_code == 400
    assert answer.json["error"]["message"] == "overlay is 0 or 1"


def test_a_page_has_the_whole_answer(client):
    page = send(client, radiograph(), page=True)
    expected = send(client, radiograph()).json
    text = re.sub(r"\s+", " ", unescape(page.text))
    assert page.status_code == 200
    assert page.mimetype == "text/html"
    for part in (
        expected["prediction"],
        expected["label_meaning"],
        disclaimer(),
        expected["heatmap"],
    ):
        assert part in text
    assert expected["model"]["architecture"] in text
    assert expected["model"]["sha256"][:12] in text
    assert expected["region"]["label"].capitalize() in text
    assert f"{expected['probability'] * 100:.0f} %" in text
    assert f"Threshold {expected['threshold'] * 100:.0f} %" in text


def test_the_page_shows_the_radiograph_itself(client):
    page = send(client, radiograph(), page=True).text
    shown = _picture(re.search(r'href="(data:image/jpeg[^"]+)"', page)[1])
    sent = np.rint(draw_radiograph(320, 240, fractured=True) * 255)
    assert shown.shape == sent.shape
    assert np.abs(shown.astype(float) - sent).mean() < 4


def test_the_upload_page_is_at_the_root(client):
    page = client.get("/")
    assert page.status_code == 200
    assert 'type="file"' in page.text
    assert disclaimer() in unescape(page.text)


def test_a_reloaded_result_redirects_to_upload(client):
    answer = client.get("/predict")
    assert (answer.status_code, answer.location) == (302, "/")


def test_a_form_without_the_token_is_refused(client):
    answer = client.post(
        "/predict", data={"file": (io.BytesIO(radiograph()), "a.png")}, headers=PAGE
    )
    assert answer.status_code == 400
    assert "csrf_failed" in answer.text
    assert "Fracture Detected" not in answer.text


def test_the_token_of_another_session_is_refused(client):
    other_token = token(shared_app().test_client().get("/").text)
    client.get("/")
    form = {"file": (io.BytesIO(radiograph()), "a.png"), "csrf_token": other_token}
    assert client.post("/predict", data=form, headers=PAGE).status_code == 400


def test_the_form_works_behind_tls(client):
    base = "https://reader.example/"
    form = {
        "file": (io.BytesIO(radiograph()), "a.png"),
        "csrf_token": token(client.get("/", base_url=base).text),
    }
    sent = client.post("/predict", base_url=base, data=form, headers=PAGE | {"Referer": base})
    assert sent.status_code == 200
    assert sent.headers["Referrer-Policy"] == "same-origin"


def test_a_script_needs_neither_token_nor_cookie(client):
    answer = send(client, radiograph())
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers


def test_a_plain_dicom_radiograph_is_read(client):
    answer = send(client, dicom())
    assert answer.status_code == 200
    assert answer.json["image"]["format"] == "dicom"
