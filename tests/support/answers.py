"""Fields of the JSON answer, as docs/api.md lists them."""

from __future__ import annotations

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
    "boxes",
    "image",
    "warnings",
    "model",
    "timing_ms",
    "disclaimer",
]
