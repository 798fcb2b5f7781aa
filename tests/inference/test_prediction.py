"""Record of a prediction: the JSON of ``POST /predict``."""

from __future__ import annotations

from tests.support.answers import FIELDS
from utils.inference.prediction import data_uri, disclaimer
from utils.inference.predictor import Predictor


def test_the_json_has_the_documented_fields(predictor: Predictor, png: bytes) -> None:
    answer = predictor.predict(png).as_json()
    assert list(answer) == FIELDS
    assert answer["image"] == {"width": 220, "height": 300, "format": "png"}
    assert answer["disclaimer"] == disclaimer()
    assert answer["model"] == {"architecture": "custom", "sha256": predictor.bundle.sha256}
    assert answer["warnings"] == []
    assert list(answer["region"]) == ["label", "probability"]
    assert set(answer["timing_ms"]) == {"decode", "fit", "model", "map"}


def test_a_data_uri_holds_the_picture() -> None:
    assert data_uri(b"abc", "image/png") == "data:image/png;base64,YWJj"
    assert data_uri(None, "image/png") is None
