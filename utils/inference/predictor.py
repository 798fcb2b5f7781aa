"""Turns the bytes of one uploaded file into a reading: verdict, probability, map and warnings."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from utils.formats import decode
from utils.gradcam import Outputs
from utils.imaging import geometry, overlay
from utils.imaging.geometry import Rectangle
from utils.imaging.radiograph import Limits, Radiograph
from utils.inference.certainty import (
    DOUBTED_FOR,
    LEAST_SIDE,
    LOW_RESOLUTION,
    WITHHELD,
    WITHHELD_FOR,
    certainty_of,
    has_low_resolution,
)
from utils.inference.engine import DEFAULT_ENGINE, Engine, load_engine
from utils.inference.predictive_value import predictive_value_of_answers
from utils.model.bundle import Bundle, read_ood_detector
from utils.model.ood import INVERTED, NOT_A_RADIOGRAPH, UNLIKE_TRAINING, UNSUPPORTED_REGION
from utils.preprocess import network_input

log = logging.getLogger(__name__)

DISCLAIMER = (
    "Assistance only: this is no diagnosis and no medical device. A qualified reader must look at every "
    "radiograph, whatever is shown here."
)
DOUBTS = {
    NOT_A_RADIOGRAPH: "This does not look like a radiograph of bones, so no result is given. Send the "
    "radiograph itself, not a photograph or a screenshot of it.",
    UNSUPPORTED_REGION: "The model learned from no radiographs like this one: it may show another part of "
    "the body than those it knows{parts}, or come from very different equipment. Do not rely on this result.",
    UNLIKE_TRAINING: "Few radiographs that the model learned from look like this one; read the result with "
    "more care.",
    INVERTED: "The greys seem to be inverted: bone should be bright and air dark. Send the picture the other "
    "way round.",
}

# Of pictures warned of as one of these it is not known how often an answer is right.
NOT_MEASURED = DOUBTED_FOR | WITHHELD_FOR


@dataclass(frozen=True)
class InputWarning:
    """One warning: a code for scripts and a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True, eq=False)
class Prediction:
    """The answer to one radiograph; the fields are those of the JSON answer (docs/api.md).

    Args:
        heatmap: PNG of the coloured map alone, or None where it was not asked for.
        overlay: JPEG of the map blended over the radiograph, likewise.
        radiograph: JPEG of the radiograph as decoded, for the page that shows it.
        scale_top: top of the map's colour scale, logits.
        logit: before calibration.
        predictive_value: how often an answer of this kind is right at the prevalence that the operator
            set, see ``predictive_value``; None without one, and for pictures unlike those that it was
            measured on.
    """

    prediction: str | None
    confidence: float | None
    probability: float | None
    threshold: float
    certainty: str
    label_meaning: str
    region: dict[str, Any] | None
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
    predictive_value: dict[str, float | None] | None = None
    disclaimer: str = DISCLAIMER

    def as_json(self) -> dict[str, Any]:
        """Return the answer of ``POST /predict``."""
        return {
            "prediction": self.prediction,
            "confidence": self.confidence,
            "probability": self.probability,
            "threshold": self.threshold,
            "certainty": self.certainty,
            "predictive_value": self.predictive_value,
            "label_meaning": self.label_meaning,
            "region": self.region,
            "heatmap": data_uri(self.heatmap, "image/png"),
            "overlay": data_uri(self.overlay, "image/jpeg"),
            "peak": list(self.peak) if self.peak else None,
            "image": {"width": self.width, "height": self.height, "format": self.format},
            "warnings": [{"code": w.code, "message": w.message} for w in self.warnings],
            "model": {"architecture": self.architecture, "sha256": self.sha256},
            "timing_ms": self.timing_ms,
            "disclaimer": self.disclaimer,
        }


def data_uri(picture: bytes | None, media_type: str) -> str | None:
    """Return a picture as a data: URI, None where there is none."""
    if picture is None:
        return None
    return f"data:{media_type};base64,{base64.b64encode(picture).decode()}"


class Predictor:
    """Reads radiographs with one loaded engine. Safe to share between threads.

    Args:
        engine: what runs the network.
        limits: of the files that are accepted.
        prevalence: share of positives where the answers are given, above 0 and below 1; None where it is
            not known.
    """

    def __init__(
        self, engine: Engine, *, limits: Limits | None = None, prevalence: float | None = None
    ) -> None:
        self.engine = engine
        self.limits = limits or Limits()
        self._ood_detector = read_ood_detector(self.bundle)
        self._worth: dict[bool, dict[str, float | None]] = {}
        if prevalence is not None:
            self._worth = predictive_value_of_answers(
                self.bundle.metrics.get("test", {}), prevalence
            )
            if not self._worth:
                log.warning(
                    "the model does not say how good it is: no answer has a predictive value"
                )

    @property
    def bundle(self) -> Bundle:
        """The bundle that answers."""
        return self.engine.bundle

    def read(
        self,
        content: bytes,
        *,
        overlay: bool = True,
        pictures: bool = True,
        page: bool = False,
        alone: Callable[[], bool] | None = None,
    ) -> Prediction:
        """Read one file.

        Args:
            content: the file's bytes.
            overlay: also blend the map over the radiograph.
            pictures: draw the map at all; without it there is no overlay either.
            page: also give the radiograph itself, for a page to show.
            alone: says, when the forward pass begins, whether nothing else is under way in this process;
                None where that is not known.

        Raises:
            InputError: the file is no radiograph that can be read (see ``formats.decode``).
        """
        timing: dict[str, float] = {}
        with _timed(timing, "decode"):
            radiograph = decode(content, limits=self.limits)
        with _timed(timing, "fit"):
            seen = network_input(radiograph, self.bundle.preprocess.image_size)
        with _timed(timing, "model"):
            outputs = self.engine.run(seen.pixels[None], alone=alone is not None and alone())
        return self.answer(
            radiograph, seen.crop, outputs, 0, timing, overlay=overlay, pictures=pictures, page=page
        )

    def answer(
        self,
        radiograph: Radiograph,
        crop: Rectangle,
        outputs: Outputs,
        row: int,
        timing: dict[str, float],
        *,
        overlay: bool = True,
        pictures: bool = True,
        page: bool = False,
    ) -> Prediction:
        """Turn row ``row`` of a forward pass into the reading of the radiograph it belongs to."""
        bundle = self.bundle
        doubts = self._ood_detector.codes(outputs.embedding[row]) if self._ood_detector else ()
        logit = float(outputs.logit[row])
        probability = bundle.calibration.probability(logit)
        positive = probability >= bundle.threshold
        notices = tuple(_notices(radiograph, crop, doubts, bundle.regions))
        warned = {notice.code for notice in notices}
        certainty = certainty_of(probability, bundle.doubt, warned)
        withheld = certainty == WITHHELD
        with _timed(timing, "map"):
            shown = pictures and not withheld
            drawn = _draw(radiograph, crop, outputs.map[row], bundle, overlay, shown, page)
        if withheld:
            drawn["peak"] = None
        label = bundle.labels.positive if positive else bundle.labels.negative
        certain = probability if positive else 1.0 - probability
        return Prediction(
            prediction=None if withheld else label,
            confidence=None if withheld else certain,
            probability=None if withheld else probability,
            threshold=bundle.threshold,
            certainty=certainty,
            label_meaning=bundle.labels.meaning,
            region=None if withheld else _region(bundle, outputs, row),
            width=radiograph.width,
            height=radiograph.height,
            format=radiograph.format,
            warnings=notices,
            architecture=bundle.architecture,
            sha256=bundle.sha256,
            scale_top=bundle.scale_top,
            logit=logit,
            timing_ms={name: round(value, 2) for name, value in timing.items()},
            predictive_value=None if warned & NOT_MEASURED else self._worth.get(positive),
            **drawn,
        )


def load_predictor(
    model: Path,
    *,
    limits: Limits | None = None,
    prevalence: float | None = None,
    engine: str = DEFAULT_ENGINE,
    **options: Any,
) -> Predictor:
    """Load a bundle, hold it against its golden example, and make a reader of it.

    Args:
        model: path of the ``.h5`` file.
        limits: of the files that are accepted.
        prevalence: see ``Predictor``.
        engine: what runs the network.
        options: of ``engine.load_engine``: its cache folder, threads and precision.

    Raises:
        ModelMissing, BundleError: see ``engine.load_engine``.
    """
    return Predictor(load_engine(model, engine, **options), limits=limits, prevalence=prevalence)


def _draw(
    radiograph: Radiograph,
    crop: Rectangle,
    signed: np.ndarray,
    bundle: Bundle,
    with_overlay: bool,
    pictures: bool,
    page: bool,
) -> dict[str, Any]:
    """Return the reading's pictures and peak."""
    height, width = radiograph.height, radiograph.width
    activation = geometry.map_over_picture(signed, height, width, bundle.map_offset, crop)
    drawn: dict[str, Any] = {
        "peak": geometry.peak(activation, height, width),
        "heatmap": None,
        "overlay": None,
        "radiograph": None,
    }
    if pictures:
        rows, columns = geometry.shrunk(height, width, geometry.MAP_SIDE)
        level = overlay.levels(activation, rows, columns, bundle.scale_top)
        drawn["heatmap"] = overlay.png(level)
    if (pictures and with_overlay) or page:
        grey = overlay.grey_levels(radiograph.pixels, overlay.BLEND_SIDE)
        if page:
            drawn["radiograph"] = overlay.jpeg(grey)
        if pictures and with_overlay:
            rows, columns = grey.shape
            if level.shape != grey.shape:
                level = overlay.levels(activation, rows, columns, bundle.scale_top)
            drawn["overlay"] = overlay.jpeg(overlay.blend(grey, level))
    return drawn


def _region(bundle: Bundle, outputs: Outputs, row: int) -> dict[str, Any] | None:
    """Return the likeliest body part and its probability, None without that head."""
    if outputs.region is None:
        return None
    best = int(np.argmax(outputs.region[row]))
    return {"label": bundle.regions[best], "probability": float(outputs.region[row, best])}


def _notices(
    radiograph: Radiograph, crop: Rectangle, doubts: Sequence[str], regions: Sequence[str]
) -> Iterator[InputWarning]:
    """Yield what a reader should know about the picture before trusting the answer."""
    parts = f" ({', '.join(regions)})" if regions else ""
    for code in doubts:
        yield InputWarning(code, DOUBTS[code].format(parts=parts))
    if has_low_resolution(crop):
        side = min(crop.height, crop.width)
        yield InputWarning(
            LOW_RESOLUTION,
            f"The shorter side has only {side} pixels; fine fracture lines may be lost. "
            f"Use a picture of at least {LEAST_SIDE} pixels.",
        )
    if radiograph.truncated:
        yield InputWarning("truncated", "The file ends early; a part of the radiograph is missing.")


@contextmanager
def _timed(timing: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    timing[name] = (time.perf_counter() - started) * 1000.0
