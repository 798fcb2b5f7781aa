"""Predictor: decision, pictures, warnings and predictive values of one file's prediction."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.bundles import fixed_ood_detector, tiny_bundle
from tests.support.engines import EngineOfBundle, RecordingEngine, with_detector
from tests.support.pictures import draw_radiograph, encode
from utils.errors import NotARadiograph, TooLarge, UnreadableImage
from utils.imaging.radiograph import Limits
from utils.inference.predictor import Predictor, load_predictor
from utils.model.calibration import Calibration
from utils.model.ood import (
    CODES,
    INVERTED,
    NOT_A_RADIOGRAPH,
    UNLIKE_TRAINING,
    UNSUPPORTED_REGION,
)

POSITIVE, NEGATIVE = "Fracture Detected", "Normal"


def changed(predictor: Predictor, *, prevalence: float | None = None, **changes: Any) -> Predictor:
    """The same network with other sections of its sidecar."""
    bundle = predictor.bundle
    changed = replace(bundle, sidecar=bundle.sidecar.model_copy(update=changes))
    return Predictor(EngineOfBundle(predictor.engine, changed), prevalence=prevalence)


def deciding(
    predictor: Predictor, threshold: float, doubt: tuple[float, float], **changes: Any
) -> Predictor:
    """The same network with another threshold and doubtful zone."""
    decision = predictor.bundle.sidecar.decision
    decision = decision.model_copy(update={"threshold": threshold, "doubt": doubt})
    return changed(predictor, decision=decision, **changes)


def with_ood_detector(predictor: Predictor, folder: Path, *codes: str, **options: Any) -> Predictor:
    """The same network in a bundle whose OOD detector reports these codes for every picture."""
    return with_detector(predictor, folder, fixed_ood_detector(*codes), **options)


def test_the_probability_is_the_calibrated_logit(predictor: Predictor, png: bytes) -> None:
    prediction = predictor.predict(png)
    assert prediction.probability == pytest.approx(1 / (1 + np.exp(-prediction.logit)), abs=1e-9)


def test_the_predicted_part_chooses_its_calibration(predictor: Predictor, png: bytes) -> None:
    usual = predictor.predict(png)
    assert usual.region is not None
    lines = {"": Calibration(1.0, 5.0), usual.region.label: Calibration(2.0, 0.5)}
    decision = predictor.bundle.sidecar.decision
    decision = decision.model_copy(update={"region_calibrations": lines})
    found = changed(predictor, decision=decision).predict(png)
    assert found.logit == pytest.approx(2.0 * usual.logit + 0.5)
    assert found.probability == pytest.approx(1 / (1 + np.exp(-found.logit)), abs=1e-9)


@pytest.mark.parametrize(
    ("threshold", "doubt", "label", "certainty"),
    [
        (0.3, (0.2, 0.4), POSITIVE, "definite"),
        (0.7, (0.6, 0.8), NEGATIVE, "definite"),
        (0.3, (0.2, 0.7), POSITIVE, "doubtful"),
        (0.7, (0.3, 0.8), NEGATIVE, "doubtful"),
    ],
)
def test_the_decision_follows_the_probability(
    predictor: Predictor,
    png: bytes,
    threshold: float,
    doubt: tuple[float, float],
    label: str,
    certainty: str,
) -> None:
    """Random weights give nearly one half, so that the threshold alone decides here."""
    prediction = deciding(predictor, threshold, doubt).predict(png)
    assert prediction.probability == pytest.approx(0.5, abs=0.05)
    assert (prediction.prediction, prediction.certainty) == (label, certainty)
    chance = prediction.probability if label == POSITIVE else 1 - prediction.probability
    assert prediction.confidence == pytest.approx(chance)


def test_a_bundle_on_disk_decides_alike(predictor: Predictor, png: bytes, tmp_path: Path) -> None:
    saved = load_predictor(tiny_bundle(tmp_path, threshold=0.7, doubt=(0.6, 0.8))).predict(png)
    made = deciding(predictor, 0.7, (0.6, 0.8)).predict(png)
    assert replace(saved, timing_ms={}).as_json() == replace(made, timing_ms={}).as_json()


def test_pictures_have_their_declared_formats(predictor: Predictor, png: bytes) -> None:
    answer = predictor.predict(png).as_json()
    heads = {"heatmap": "data:image/png;base64,", "overlay": "data:image/jpeg;base64,"}
    for name, head in heads.items():
        assert answer[name].startswith(head)
        picture = Image.open(io.BytesIO(base64.b64decode(answer[name].removeprefix(head))))
        assert picture.size == (220, 300)


def test_large_pictures_are_shown_smaller(predictor: Predictor) -> None:
    prediction = predictor.predict(encode(draw_radiograph(1500, 1200)), page=True)
    sides = [
        max(Image.open(io.BytesIO(picture)).size)
        for picture in (prediction.heatmap, prediction.overlay, prediction.radiograph)
        if picture
    ]
    assert sides == [512, 1024, 1024]


def test_the_peak_is_in_pixels_of_the_file(predictor: Predictor) -> None:
    content = encode(draw_radiograph(1500, 1200))
    peaks = [predictor.predict(content, pictures=False).peak]
    # A map that is positive at its last cell alone: below and right of the middle.
    outputs = predictor.engine.run(np.zeros((1, 64, 64), np.uint8))
    signed = np.full_like(outputs.map, -1.0)
    signed[0, -1, -1] = 1.0
    engine = RecordingEngine(predictor.engine)
    engine.run = lambda fitted, alone=False: replace(outputs, map=signed)  # type: ignore[method-assign]
    peaks.append(Predictor(engine).predict(content, pictures=False).peak)
    for peak in filter(None, peaks):
        assert 0 <= peak[0] < 1200
        assert 0 <= peak[1] < 1500
    assert peaks[1] is not None
    assert min(peaks[1]) > 512


def test_pictures_are_drawn_on_request_alone(predictor: Predictor, png: bytes) -> None:
    without = predictor.predict(png, overlay=False)
    assert without.heatmap
    assert without.overlay is None
    assert without.radiograph is None
    bare = predictor.predict(png, pictures=False)
    assert (bare.heatmap, bare.overlay) == (None, None)
    assert bare.peak == without.peak


def test_a_small_picture_gets_a_warning(predictor: Predictor) -> None:
    prediction = predictor.predict(encode(draw_radiograph(120, 90)))
    assert [warning.code for warning in prediction.warnings] == ["low_resolution"]
    assert "90 pixels" in prediction.warnings[0].message
    assert prediction.prediction
    assert prediction.certainty == "doubtful"


def test_the_region_is_the_likeliest_of_its_head(predictor: Predictor, png: bytes) -> None:
    region = predictor.predict(png).region
    assert region
    assert region.label in {"hand", "leg"}
    assert 0.5 <= region.probability <= 1.0


def test_no_region_head_gives_no_region(tmp_path: Path, png: bytes) -> None:
    path = tiny_bundle(tmp_path, regions=())
    assert load_predictor(path, engine="tensorflow").predict(png).region is None


def test_alone_is_asked_as_the_forward_pass_begins(predictor: Predictor, png: bytes) -> None:
    engine = RecordingEngine(predictor.engine)
    recording, passes_before = Predictor(engine), []

    def alone() -> bool:
        passes_before.append(len(engine.alone))
        return len(passes_before) == 1

    expected = predictor.predict(png).logit
    for given in (alone, alone, None):
        assert recording.predict(png, alone=given).logit == pytest.approx(expected)
    assert engine.alone == [True, False, False]
    assert passes_before == [0, 1], "once a prediction, before its forward pass"
    with pytest.raises(UnreadableImage):
        recording.predict(png[: len(png) // 2], alone=alone)
    assert passes_before == [0, 1], "a file that cannot be decoded has no forward pass"


def test_a_file_that_is_no_radiograph_is_refused(predictor: Predictor, png: bytes) -> None:
    with pytest.raises(NotARadiograph):
        predictor.predict(encode(np.full((64, 64), 0.5, np.float32)))
    with pytest.raises(UnreadableImage):
        predictor.predict(png[: len(png) // 2])


def test_the_predictors_limits_hold(predictor: Predictor, png: bytes) -> None:
    strict = Predictor(predictor.engine, limits=Limits(max_pixels=1000))
    with pytest.raises(TooLarge, match="megapixels"):
        strict.predict(png)


def figures(
    sensitivity: tuple[float, float, float], specificity: tuple[float, float, float]
) -> dict[str, Any]:
    """Metrics of a test part: value, low and high of each figure."""
    names = ("value", "low", "high")
    return {
        "test": {
            "sensitivity": dict(zip(names, sensitivity, strict=True)),
            "specificity": dict(zip(names, specificity, strict=True)),
        }
    }


METRICS = figures((0.9, 0.85, 0.95), (0.8, 0.75, 0.85))


@pytest.mark.parametrize(
    # Of 1,000: 90 found of 100, 180 false alarms, 720 rightly negative, 10 missed.
    ("label", "threshold", "expected"),
    [(POSITIVE, 0.1, 90 / 270), (NEGATIVE, 0.9, 720 / 730)],
)
def test_a_prevalence_gives_predictive_values(
    predictor: Predictor, png: bytes, label: str, threshold: float, expected: float
) -> None:
    zone = (threshold, threshold)
    found = deciding(predictor, threshold, zone, prevalence=0.1, metrics=METRICS).predict(png)
    assert found.prediction == label
    value = found.as_json()["predictive_value"]
    assert list(value) == ["prevalence", "value", "low", "high"]
    assert value["prevalence"] == 0.1
    assert value["value"] == pytest.approx(expected)
    assert 0 < value["low"] < value["value"] < value["high"] < 1


def test_a_small_picture_has_no_predictive_value(predictor: Predictor) -> None:
    small = encode(draw_radiograph(120, 90))
    prediction = changed(predictor, prevalence=0.1, metrics=METRICS).predict(small)
    assert prediction.prediction
    assert prediction.predictive_value is None


def test_no_prevalence_gives_no_predictive_value(
    predictor: Predictor, png: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert predictor.predict(png).predictive_value is None
    assert changed(predictor, metrics=METRICS).predict(png).predictive_value is None
    assert caplog.text == ""


def test_no_figures_give_no_predictive_value(
    predictor: Predictor, png: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert Predictor(predictor.engine, prevalence=0.1).predict(png).predictive_value is None
    assert "no test figures" in caplog.text


@pytest.mark.parametrize(
    ("code", "certainty"),
    [
        (None, "definite"),
        (UNLIKE_TRAINING, "doubtful"),
        (INVERTED, "doubtful"),
    ],
)
def test_a_warning_stands_beside_the_prediction(
    predictor: Predictor, tmp_path: Path, png: bytes, code: str | None, certainty: str
) -> None:
    codes = [code] if code else []
    warned = with_ood_detector(predictor, tmp_path, *codes, threshold=0.3, doubt=(0.2, 0.4))
    answer = warned.predict(png).as_json()
    assert [warning["code"] for warning in answer["warnings"]] == codes
    assert answer["prediction"] == POSITIVE
    assert answer["certainty"] == certainty


def test_an_unknown_body_part_is_withheld(predictor: Predictor, tmp_path: Path, png: bytes) -> None:
    warned = with_ood_detector(predictor, tmp_path, UNLIKE_TRAINING, UNSUPPORTED_REGION)
    answer = warned.predict(png).as_json()
    assert (answer["prediction"], answer["certainty"]) == (None, "withheld")
    (warning,) = answer["warnings"]
    assert warning["code"] == UNSUPPORTED_REGION
    assert "hand, leg" in warning["message"]


def test_a_withheld_answer_gives_its_reason_alone(
    predictor: Predictor, tmp_path: Path, png: bytes
) -> None:
    codes = (UNLIKE_TRAINING, UNSUPPORTED_REGION, NOT_A_RADIOGRAPH)
    prediction = with_ood_detector(predictor, tmp_path, *codes).predict(png, page=True)
    answer = prediction.as_json()
    for name in ("prediction", "confidence", "probability", "predictive_value", "region"):
        assert answer[name] is None
    assert [answer[name] for name in ("heatmap", "overlay", "peak")] == [None] * 3
    assert answer["certainty"] == "withheld"
    assert [warning["code"] for warning in answer["warnings"]] == [NOT_A_RADIOGRAPH]
    assert prediction.radiograph


def test_no_ood_detector_gives_no_warning(predictor: Predictor, png: bytes) -> None:
    assert not set(CODES) & {warning.code for warning in predictor.predict(png).warnings}
