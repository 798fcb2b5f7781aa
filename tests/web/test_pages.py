"""View model of the result page."""

from __future__ import annotations

import re
from html import unescape

import pytest

from tests.support.bundles import altered_sidecar, tiny_bundle
from tests.support.serving import radiograph, send, settings, shared_app
from utils.inference.prediction import disclaimer
from utils.web.app import create_app

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
    """A model with metrics on a test part."""
    model = tiny_bundle(tmp_path_factory.mktemp("tested"))
    with altered_sidecar(model) as sidecar:
        sidecar["metrics"]["test"] = FIGURES
    return model


def test_each_verdict_has_its_own_words_and_sign(tmp_path):
    from dataclasses import replace

    from utils.web.pages import legend, result_page

    predictor = shared_app().extensions["predictor_service"].predictor()
    prediction = predictor.predict(radiograph(), page=True)
    predictions = {
        "positive": replace(prediction, prediction="Fracture Detected", certainty="definite"),
        "negative": replace(prediction, prediction="Normal", certainty="definite"),
        "doubtful": replace(prediction, prediction="Normal", certainty="doubtful"),
        "withheld": replace(
            prediction,
            prediction=None,
            confidence=None,
            probability=None,
            heatmap=None,
            peak=None,
            certainty="withheld",
        ),
    }
    signs, words = set(), set()
    for tone, one in predictions.items():
        result = result_page(one, doubt=(0.4, 0.6), positive="Fracture Detected")
        with shared_app().test_request_context():
            page = shared_app().jinja_env.get_template("predict/result.html")
            text = page.render(
                result=result,
                legend=legend(),
                asset=lambda name: name,
                disclaimer=disclaimer(),
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


def test_json_and_page_have_the_predictive_value(tested, tmp_path):
    client = create_app(settings(tmp_path, model=tested, prevalence=0.125)).test_client()
    answer = send(client, radiograph()).json
    figure = answer["predictive_value"]
    # Of 800: 90 found of 100, 140 called by mistake, 560 rightly not, 10 missed.
    expected = {"Fracture Detected": 90 / 230, "Normal": 560 / 570}[answer["prediction"]]
    assert figure["value"] == pytest.approx(expected)
    text = re.sub(r"\s+", " ", unescape(send(client, radiograph(), page=True).text))
    assert (
        f"Where 12.5 % of the radiographs show a fracture, {expected * 100:.0f} of 100 answers "
        f"“{answer['prediction']}” are right (95 % interval {figure['low'] * 100:.0f} to "
        f"{figure['high'] * 100:.0f}): all such answers together, sure and doubtful ones."
    ) in text


def test_the_page_has_the_pointing_game(tested, tmp_path):
    client = create_app(settings(tmp_path, model=tested)).test_client()
    text = re.sub(r"\s+", " ", unescape(send(client, radiograph(), page=True).text))
    assert (
        "On 90 test radiographs with a marked fracture the highest point of the map lay inside it in 78 "
        "of 100 (95 % interval 69 to 86)."
    ) in text
    assert "radiographs show a fracture" not in text


def test_a_page_leaves_out_missing_metrics(client):
    text = send(client, radiograph(), page=True).text
    assert "test radiographs" not in text
    assert "of 100" not in text
