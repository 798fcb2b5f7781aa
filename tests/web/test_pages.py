"""View model of the result page."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from html import unescape

import pytest

from tests.support.bundles import altered_sidecar, tiny_bundle
from tests.support.serving import radiograph, send, settings, shared_app
from tests.support.verdicts import VERDICTS, verdict
from utils import __version__
from utils.inference.fracture_boxes import FractureBox
from utils.inference.input_warnings import (
    DOUBTED_FOR,
    WITHHELD_FOR,
    InputWarning,
    not_localised,
)
from utils.inference.prediction import Prediction, disclaimer
from utils.web.app import create_app
from utils.web.pages import ResultPage, legend, result_page

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


def page_of(kind: str, **changes: object) -> ResultPage:
    """View model of one of VERDICTS, with the changes."""
    prediction = replace(verdict(answered(), kind), **changes)
    return result_page(
        prediction, doubt=(0.4, 0.6), positive="Fracture Detected", regions=("hand", "hip", "leg")
    )


@cache
def answered() -> Prediction:
    predictor = shared_app().extensions["predictor_service"].predictor()
    return predictor.predict(radiograph(), page=True)


def text_of(result: ResultPage) -> str:
    """HTML of a result page, in one line."""
    with shared_app().test_request_context():
        page = shared_app().jinja_env.get_template("predict/result.html")
        html = page.render(
            result=result, legend=legend(), asset=lambda name: name, disclaimer=disclaimer()
        )
    return re.sub(r"\s+", " ", unescape(html))


def warned(*codes: str) -> tuple[InputWarning, ...]:
    return tuple(InputWarning(code, f"Sentence of {code}.") for code in codes)


def test_each_verdict_has_its_own_sign_and_words():
    signs, words = set(), set()
    for kind in VERDICTS:
        result = page_of(kind)
        text = text_of(result)
        assert f"verdict {result.tone}" in text
        signs.add(re.search(r"<h1.*?<svg.*?>(.*?)</svg>", text)[1].strip())
        words.add((result.headline, result.certainty))
    assert len(signs) == 4
    assert len(words) == len(VERDICTS)


@pytest.mark.parametrize(
    ("kind", "headline", "certainty"),
    [
        ("positive", "Fracture detected", "Not a borderline result."),
        ("negative", "No fracture found", "Not a borderline result."),
        (
            "borderline",
            "Not certain: no fracture seen, look closely",
            "Borderline result: treat it as undecided.",
        ),
        (
            "doubtful",
            "Not certain: possible fracture",
            "This picture may not suit the model; see below.",
        ),
        ("withheld", "No result: this is not an X-ray of bones", "Treat this as no result."),
    ],
)
def test_a_headline_says_how_certain_it_is(kind, headline, certainty):
    result = page_of(kind)
    assert (result.headline, result.certainty) == (headline, certainty)


@pytest.mark.parametrize(
    ("regions", "headline"),
    [
        (("hand", "leg", "hip", "shoulder"), "this is not a hand, leg, hip or shoulder"),
        (("elbow", "wrist"), "this is not an elbow or wrist"),
        (("hip",), "this is not a hip"),
        ((), "the model does not know pictures like this one"),
    ],
)
def test_a_chest_is_none_of_the_known_body_parts(regions, headline):
    prediction = replace(verdict(answered(), "withheld"), warnings=warned("unsupported_region"))
    result = result_page(
        prediction, doubt=(0.4, 0.6), positive="Fracture Detected", regions=regions
    )
    assert result.headline == f"No result: {headline}"


def test_the_headline_names_several_radiographs():
    result = page_of("withheld", warnings=warned("several_radiographs"))
    assert result.headline == "No result: several X-rays in one picture"


@pytest.mark.parametrize("code", sorted(WITHHELD_FOR))
def test_every_reason_to_withhold_has_a_headline(code):
    headline = page_of("withheld", warnings=warned(code)).headline
    assert headline.startswith("No result: ")


@pytest.mark.parametrize("code", sorted(DOUBTED_FOR))
def test_a_reason_to_doubt_stands_in_the_verdict(code):
    result = page_of("doubtful", warnings=warned("truncated", code))
    verdict_card = re.search(r'<section class="card verdict.*?</section>', text_of(result))[0]
    assert f"Sentence of {code}." in verdict_card
    assert [note.code for note in result.notes] == ["truncated"]


def test_a_little_tested_body_part_is_no_fault():
    result = page_of("doubtful", warnings=warned("untested_body_part"))
    assert result.certainty == "Not certain for this body part; see below."


def test_a_picture_at_fault_has_no_large_figure():
    assert 'class="value">45 %' in text_of(page_of("borderline"))
    text = text_of(page_of("doubtful"))
    assert 'class="value"' not in text
    assert "61 % of a fracture, not reliable for this picture" in details(text)


def test_codes_stand_under_details_alone():
    text = text_of(page_of("doubtful"))
    shown = text.replace(details(text), "")
    for warning in VERDICTS["doubtful"]["warnings"]:
        assert warning.code in details(text)
        assert warning.code not in shown
        assert warning.message in shown


def test_logits_stand_under_details_alone():
    text = text_of(page_of("positive"))
    assert "strong sign of a fracture" in text
    assert "logit" in details(text)
    assert "logit" not in text.replace(details(text), "")


def details(text: str) -> str:
    return re.search(r"<details.*?</details>", text)[0]


BOXES = (FractureBox(12.5, 30.0, 41.0, 22.5, 0.62), FractureBox(80.0, 90.0, 10.0, 12.0, 0.2))


def test_boxes_are_drawn_on_the_map():
    text = text_of(page_of("positive", boxes=BOXES))
    assert '<g id="boxes" class="boxes">' in text
    assert text.count('<rect class="box" ') == 2
    assert '<rect class="box" x="12.5" y="30.0" width="41.0" height="22.5"/>' in text
    assert "2 boxes around likely fractures" in text
    assert "62 % at 12, 30; 20 % at 80, 90" in details(text)
    assert "dashed" not in text


def test_boxes_of_a_doubtful_answer_are_dashed():
    text = text_of(page_of("borderline", boxes=BOXES[:1]))
    assert '<g id="boxes" class="boxes doubtful">' in text
    assert "1 box around likely fractures" in text
    assert "dashed because the result is doubtful" in text


@pytest.mark.parametrize("boxes", [(), None])
def test_an_answer_without_boxes_draws_none(boxes):
    text = text_of(page_of("positive", boxes=boxes))
    assert "box" not in text.replace("viewBox", "").replace("checkbox", "")


def test_the_page_says_what_is_not_localised():
    result = page_of("positive", boxes=(), warnings=(not_localised(),))
    assert "cannot say where it lies" in text_of(result)
    assert (result.tone, result.reason) == ("positive", None)


def test_normal_claims_no_more_than_no_fracture():
    scope = "“Normal” means only that no fracture was found; other disease is not looked for."
    for kind in VERDICTS:
        assert (scope in text_of(page_of(kind))) == (kind in ("negative", "borderline"))


def test_a_withheld_picture_is_not_called_an_xray():
    assert page_of("positive").caption == "X-ray"
    text = text_of(page_of("withheld"))
    assert "<figcaption>Your picture</figcaption>" in text
    assert 'id="map"' not in text
    assert "probability of a fracture" not in text


def test_the_page_has_the_time_of_the_answer():
    moment = datetime(2031, 5, 17, 8, 3, 59, tzinfo=UTC)
    result = result_page(answered(), doubt=(0.4, 0.6), positive="", answered=moment)
    text = text_of(result)
    assert 'datetime="2031-05-17T08:03:59Z">2031-05-17 08:03 UTC<' in text
    assert f"Fracture reader {__version__}" in text


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
