"""Predictions of every verdict, made from one of the untrained network, which is always borderline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from utils.inference.input_warnings import InputWarning
from utils.inference.prediction import Prediction

WITHHELD: dict[str, Any] = {
    "prediction": None,
    "confidence": None,
    "probability": None,
    "region": None,
    "heatmap": None,
    "peak": None,
    "certainty": "withheld",
}
VERDICTS: dict[str, dict[str, Any]] = {
    "positive": {
        "prediction": "Fracture Detected",
        "probability": 0.934,
        "certainty": "definite",
    },
    "negative": {"prediction": "Normal", "probability": 0.043, "certainty": "definite"},
    "borderline": {"prediction": "Normal", "probability": 0.45, "certainty": "doubtful"},
    "doubtful": {
        "prediction": "Fracture Detected",
        "probability": 0.613,
        "certainty": "doubtful",
        "warnings": tuple(
            InputWarning(code, f"This is a sentence about {what}, as long as such sentences are.")
            for code, what in (
                ("truncated", "a file that ends early"),
                ("low_resolution", "too few pixels"),
                ("header_contradiction", "a header that contradicts its data"),
            )
        ),
    },
    "withheld": WITHHELD
    | {"warnings": (InputWarning("not_a_radiograph", "This looks like no radiograph."),)},
}


def verdict(prediction: Prediction, kind: str) -> Prediction:
    """Return a prediction changed into one of VERDICTS."""
    return replace(prediction, **VERDICTS[kind])
