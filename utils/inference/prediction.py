"""Record of one radiograph's prediction, and its JSON."""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass
from typing import Any

from utils.inference.fracture_boxes import FractureBox
from utils.inference.input_warnings import InputWarning
from utils.inference.predictive_value import PredictiveValue
from utils.messages import sentence


@dataclass(frozen=True)
class RegionPrediction:
    """Likeliest body part and its probability."""

    label: str
    probability: float


@dataclass(frozen=True, eq=False)
class Prediction:
    """Prediction for one radiograph; the fields are those of the JSON answer (docs/api.md).

    Args:
        heatmap: PNG of the coloured map alone, or None where it was not requested.
        overlay: JPEG of the map blended over the radiograph, likewise.
        radiograph: JPEG of the radiograph as decoded, for the page that shows it.
        scale_top: top of the map's colour scale, logits.
        logit: before calibration.
        predictive_value: of such answers at the operator's prevalence; None without a prevalence, and for
            pictures unlike those that it was measured on.
        boxes: around likely fractures, the largest score first; None for a withheld answer and for a model
            that gives none.
    """

    prediction: str | None
    confidence: float | None
    probability: float | None
    threshold: float
    certainty: str
    label_meaning: str
    region: RegionPrediction | None
    heatmap: bytes | None
    overlay: bytes | None
    radiograph: bytes | None
    peak: tuple[int, int] | None
    width: int
    height: int
    format: str
    warnings: tuple[InputWarning, ...]
    architecture: str
    sha256: str
    scale_top: float
    logit: float
    timing_ms: dict[str, float]
    predictive_value: PredictiveValue | None = None
    boxes: tuple[FractureBox, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the answer of ``POST /predict``."""
        return {
            "prediction": self.prediction,
            "confidence": self.confidence,
            "probability": self.probability,
            "threshold": self.threshold,
            "certainty": self.certainty,
            "predictive_value": self.predictive_value and asdict(self.predictive_value),
            "label_meaning": self.label_meaning,
            "region": self.region and asdict(self.region),
            "heatmap": data_uri(self.heatmap, "image/png"),
            "overlay": data_uri(self.overlay, "image/jpeg"),
            "peak": list(self.peak) if self.peak else None,
            "boxes": None if self.boxes is None else [asdict(box) for box in self.boxes],
            "image": {"width": self.width, "height": self.height, "format": self.format},
            "warnings": [asdict(warning) for warning in self.warnings],
            "model": {"architecture": self.architecture, "sha256": self.sha256},
            "timing_ms": self.timing_ms,
            "disclaimer": disclaimer(),
        }


def disclaimer() -> str:
    """Return the sentence that stands beside every prediction."""
    return sentence("inference.disclaimer")


def data_uri(picture: bytes | None, media_type: str) -> str | None:
    """Return a picture as a data: URI, None where there is none."""
    if picture is None:
        return None
    return f"data:{media_type};base64,{base64.b64encode(picture).decode()}"
