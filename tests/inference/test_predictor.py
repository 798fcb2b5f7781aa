"""Readings: the verdict follows from the probability, and the JSON is the one that is promised."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.bundles import altered_sidecar, fixed_ood_detector, tiny_bundle
from tests.support.engines import RecordingEngine
from tests.support.pictures import draw_radiograph, encode
from utils.errors import NotARadiograph, UnreadableImage
from utils.imaging.radiograph import Limits
from utils.inference.predictor import DISCLAIMER, Predictor, load_predictor
from utils.model.ood import CODES, INVERTED, NOT_A_RADIOGRAPH, UNLIKE_TRAINING, UNSUPPORTED_REGION

FIELDS = [
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


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """A reader with a small real bundle."""
    return load_predictor(tiny_bundle(tmp_path_factory.mktemp("bundle")))


@pytest.fixture(scope="module")
def png() -> bytes:
    """A drawn radiograph that is large enough not to be warned about."""
    return encode(draw_radiograph(300, 220))


def test_the_answer_has_the_promised_fields_in_their_order(reader: Predictor, png: bytes) -> None:
    answer = reader.read(png).as_json()
    assert list(answer) == FIELDS
    assert answer["image"] == {"width": 220, "height": 300, "format": "png"}
    assert answer["disclaimer"] == DISCLAIMER
    assert answer["model"] == {"architecture": "custom", "sha256": reader.bundle.sha256}
    assert answer["warnings"] == []
    assert set(answer["timing_ms"]) == {"decode", "fit", "model", "map"}


def test_the_probability_is_the_calibrated_logit(reader: Predictor, png: bytes) -> None:
    reading = reader.read(png)
    assert reading.probability == pytest.approx(1 / (1 + np.exp(-reading.logit)), abs=1e-9)


@pytest.mark.parametrize(
    ("threshold", "doubt", "prediction", "certainty"),
    [
        (0.3, (0.2, 0.4), "Fracture Detected", "definite"),
        (0.7, (0.6, 0.8), "Normal", "definite"),
        (0.3, (0.2, 0.7), "Fracture Detected", "doubtful"),
        (0.7, (0.3, 0.8), "Normal", "doubtful"),
    ],
)
def test_verdict_confidence_and_doubt_follow_from_the_probability(
    tmp_path: Path,
    png: bytes,
    threshold: float,
    doubt: tuple[float, float],
    prediction: str,
    certainty: str,
) -> None:
    """Random weights answer near one half, so that the threshold alone decides here."""
    reading = load_predictor(tiny_bundle(tmp_path, threshold=threshold, doubt=doubt)).read(png)
    assert reading.probability == pytest.approx(0.5, abs=0.05)
    assert (reading.prediction, reading.certainty) == (prediction, certainty)
    chance = reading.probability if prediction != "Normal" else 1 - reading.probability
    assert reading.confidence == pytest.approx(chance)


def test_the_pictures_are_what_they_say(reader: Predictor, png: bytes) -> None:
    answer = reader.read(png).as_json()
    heads = {"heatmap": "data:image/png;base64,", "overlay": "data:image/jpeg;base64,"}
    for name, head in heads.items():
        assert answer[name].startswith(head)
        picture = Image.open(io.BytesIO(base64.b64decode(answer[name].removeprefix(head))))
        assert picture.size == (220, 300)


def test_large_pictures_are_shown_smaller_and_peaks_stay_in_the_originals_pixels(
    reader: Predictor,
) -> None:
    reading = reader.read(encode(draw_radiograph(1500, 1200)), page=True)
    sides = [
        max(Image.open(io.BytesIO(picture)).size)
        for picture in (reading.heatmap, reading.overlay, reading.radiograph)
        if picture
    ]
    assert sides == [512, 1024, 1024]
    if reading.peak:
        assert 0 <= reading.peak[0] < 1200
        assert 0 <= reading.peak[1] < 1500


def test_pictures_are_drawn_only_when_asked_for(reader: Predictor, png: bytes) -> None:
    without = reader.read(png, overlay=False)
    assert without.heatmap
    assert without.overlay is None
    assert without.radiograph is None
    bare = reader.read(png, pictures=False)
    assert (bare.heatmap, bare.overlay) == (None, None)
    assert bare.peak == without.peak


def test_a_small_picture_is_read_with_a_warning(reader: Predictor) -> None:
    reading = reader.read(encode(draw_radiograph(120, 90)))
    assert [notice.code for notice in reading.warnings] == ["low_resolution"]
    assert "90 pixels" in reading.warnings[0].message
    assert reading.prediction
    assert reading.certainty == "doubtful"


def test_the_region_is_the_likeliest_of_its_head(reader: Predictor, png: bytes) -> None:
    region = reader.read(png).region
    assert region
    assert region["label"] in {"hand", "leg"}
    assert 0.5 <= region["probability"] <= 1.0


def test_a_bundle_without_region_head_gives_none(tmp_path: Path, png: bytes) -> None:
    assert load_predictor(tiny_bundle(tmp_path, regions=())).read(png).region is None


def test_whether_a_reading_is_alone_is_asked_when_its_forward_pass_begins(
    reader: Predictor, png: bytes
) -> None:
    engine = RecordingEngine(reader.engine)
    noting, asked = Predictor(engine), []

    def alone() -> bool:
        asked.append(len(engine.alone))
        return len(asked) == 1

    for given in (alone, alone, None):
        assert noting.read(png, alone=given).logit == pytest.approx(reader.read(png).logit)
    assert engine.alone == [True, False, False]
    assert asked == [0, 1], "once a reading, before its pass"
    with pytest.raises(UnreadableImage):
        noting.read(png[: len(png) // 2], alone=alone)
    assert asked == [0, 1], "a file that cannot be decoded has no pass"


def test_what_is_no_radiograph_gets_no_answer(reader: Predictor, png: bytes) -> None:
    with pytest.raises(NotARadiograph):
        reader.read(encode(np.full((64, 64), 0.5, np.float32)))
    with pytest.raises(UnreadableImage):
        reader.read(png[: len(png) // 2])


def test_the_readers_limits_hold(reader: Predictor, png: bytes) -> None:
    strict = Predictor(reader.engine, limits=Limits(max_pixels=1000))
    with pytest.raises(Exception, match="megapixels"):
        strict.read(png)


def with_metrics(folder: Path, **figures: tuple[float, float, float]) -> Path:
    """A bundle that tells these figures of its test part: value, low, high."""
    model = tiny_bundle(folder)
    with altered_sidecar(model) as sidecar:
        sidecar["metrics"]["test"] = {
            name: dict(zip(("value", "low", "high"), numbers, strict=True))
            for name, numbers in figures.items()
        }
    return model


def test_an_answer_tells_its_worth_where_the_prevalence_is_known(
    tmp_path: Path, png: bytes
) -> None:
    model = with_metrics(tmp_path, sensitivity=(0.9, 0.85, 0.95), specificity=(0.8, 0.75, 0.85))
    reading = load_predictor(model, prevalence=0.1).read(png)
    # Of 1,000: 90 found of 100, 180 called by mistake, 720 rightly not, 10 missed.
    expected = 90 / 270 if reading.prediction == "Fracture Detected" else 720 / 730
    worth = reading.as_json()["predictive_value"]
    assert list(worth) == ["prevalence", "value", "low", "high"]
    assert worth["prevalence"] == 0.1
    assert worth["value"] == pytest.approx(expected)
    assert 0 < worth["low"] < worth["value"] < worth["high"] < 1


def test_an_answer_to_a_picture_of_too_few_pixels_has_no_worth(tmp_path: Path) -> None:
    model = with_metrics(tmp_path, sensitivity=(0.9, 0.85, 0.95), specificity=(0.8, 0.75, 0.85))
    reading = load_predictor(model, prevalence=0.1).read(encode(draw_radiograph(120, 90)))
    assert reading.prediction
    assert reading.predictive_value is None


def test_both_kinds_of_answer_have_a_worth_of_their_own(tmp_path: Path, png: bytes) -> None:
    told = {}
    for name, threshold in (("Fracture Detected", 0.1), ("Normal", 0.9)):
        folder = tmp_path / name
        folder.mkdir()
        model = with_metrics(folder, sensitivity=(0.9, 0.8, 0.95), specificity=(0.8, 0.7, 0.9))
        with altered_sidecar(model) as sidecar:
            sidecar["decision"] |= {"threshold": threshold, "doubt": [threshold, threshold]}
        reading = load_predictor(model, prevalence=0.1).read(png)
        assert reading.prediction == name
        told[name] = reading.predictive_value["value"]
    assert told == {
        "Fracture Detected": pytest.approx(90 / 270),
        "Normal": pytest.approx(720 / 730),
    }


def test_without_a_prevalence_or_without_figures_an_answer_has_no_worth(
    tmp_path: Path, png: bytes, reader: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    assert reader.read(png).predictive_value is None
    assert caplog.text == ""
    assert Predictor(reader.engine, prevalence=0.1).read(png).predictive_value is None
    assert "does not say how good it is" in caplog.text


@pytest.mark.parametrize(
    ("said", "certainty"),
    [
        ((), "definite"),
        ((UNLIKE_TRAINING,), "definite"),
        ((INVERTED,), "doubtful"),
        ((UNSUPPORTED_REGION,), "doubtful"),
    ],
)
def test_a_doubt_about_the_picture_is_said_beside_the_result(
    tmp_path: Path, png: bytes, said: tuple[str, ...], certainty: str
) -> None:
    bundle = tiny_bundle(tmp_path, threshold=0.3, doubt=(0.2, 0.4), ood_detector=fixed_ood_detector(*said))
    answer = load_predictor(bundle).read(png).as_json()
    assert [warning["code"] for warning in answer["warnings"]] == list(said)
    assert answer["prediction"] == "Fracture Detected"
    assert answer["certainty"] == certainty
    if UNSUPPORTED_REGION in said:
        assert "hand, leg" in answer["warnings"][0]["message"]


def test_of_a_picture_that_is_no_radiograph_nothing_is_said_but_why(
    tmp_path: Path, png: bytes
) -> None:
    bundle = tiny_bundle(
        tmp_path, ood_detector=fixed_ood_detector(UNLIKE_TRAINING, UNSUPPORTED_REGION, NOT_A_RADIOGRAPH)
    )
    reading = load_predictor(bundle, prevalence=0.1).read(png, page=True)
    answer = reading.as_json()
    for name in ("prediction", "confidence", "probability", "predictive_value", "region"):
        assert answer[name] is None
    assert [answer[name] for name in ("heatmap", "overlay", "peak")] == [None] * 3
    assert answer["certainty"] == "withheld"
    assert [warning["code"] for warning in answer["warnings"]] == [NOT_A_RADIOGRAPH]
    assert reading.radiograph


def test_a_bundle_without_familiarity_has_no_opinion_of_pictures(
    reader: Predictor, png: bytes
) -> None:
    assert not set(CODES) & {warning.code for warning in reader.read(png).warnings}
