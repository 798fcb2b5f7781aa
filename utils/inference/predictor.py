"""Predictor: the bytes of one file to a prediction, with one loaded engine."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from utils.formats import decode
from utils.gradcam import Outputs
from utils.imaging import geometry, overlay
from utils.imaging.brightness import stretched
from utils.imaging.radiograph import Limits, Radiograph
from utils.inference.engines.engine import DEFAULT_ENGINE, Engine, load_engine
from utils.inference.fracture_boxes import FractureBox, boxes_of_answer
from utils.inference.input_warnings import (
    DEFINITE,
    DOUBTED_FOR,
    DOUBTFUL,
    WITHHELD,
    WITHHELD_FOR,
    certainty_of,
    input_warnings,
    not_localised,
)
from utils.inference.prediction import Prediction, RegionPrediction
from utils.inference.predictive_value import PredictiveValue, predictive_value_of_answers
from utils.inference.second_pass import examine
from utils.model.bundle import Bundle, read_ood_detector
from utils.preprocess import NetworkInput, network_input

log = logging.getLogger(__name__)

# For pictures with these warnings no predictive value was measured.
NOT_MEASURED = DOUBTED_FOR | WITHHELD_FOR


@dataclass(frozen=True, eq=False)
class DecodedFile:
    """A decoded radiograph and its network input, with the milliseconds of both steps."""

    radiograph: Radiograph
    fitted: NetworkInput
    timing: dict[str, float]


class Predictor:
    """Predictions by one loaded engine. Safe to share between threads.

    Args:
        engine: runs the network.
        limits: of the files that are accepted.
        prevalence: share of positives where the model is used, above 0 and below 1, if known.
    """

    def __init__(
        self, engine: Engine, *, limits: Limits | None = None, prevalence: float | None = None
    ) -> None:
        self.engine = engine
        self.limits = limits or Limits()
        self._ood_detector = read_ood_detector(self.bundle)
        self._predictive_values: dict[bool, PredictiveValue] = {}
        if prevalence is not None:
            figures = self.bundle.metrics.get("test", {})
            self._predictive_values = predictive_value_of_answers(figures, prevalence)
            if not self._predictive_values:
                log.warning("the model has no test figures: no answer gets a predictive value")

    @property
    def bundle(self) -> Bundle:
        """The engine's bundle."""
        return self.engine.bundle

    def predict(
        self,
        content: bytes,
        *,
        overlay: bool = True,
        pictures: bool = True,
        page: bool = False,
        alone: Callable[[], bool] | None = None,
    ) -> Prediction:
        """Predict for one file.

        Args:
            content: the file's bytes.
            overlay: also blend the map over the radiograph.
            pictures: draw the map; without it there is no overlay either.
            page: also return the radiograph, for a page that shows it.
            alone: called as the forward pass begins; returns whether this process computes nothing else.

        Raises:
            InputError: the file is no radiograph that can be read (see ``formats.decode``).
        """
        file = self.decode(content)
        started = time.perf_counter()
        outputs = self.engine.run(file.fitted.pixels[None], alone=alone is not None and alone())
        spent = _milliseconds_since(started)
        return self.predict_outputs(
            file, outputs, 0, spent, overlay=overlay, pictures=pictures, page=page
        )

    def decode(self, content: bytes) -> DecodedFile:
        """Decode one file and fit it into the network's input; raises as ``predict`` does."""
        started = time.perf_counter()
        radiograph = decode(content, limits=self.limits)
        decoding = _milliseconds_since(started)
        started = time.perf_counter()
        fitted = network_input(radiograph, self.bundle.preprocess.image_size)
        timing = {"decode": decoding, "fit": _milliseconds_since(started)}
        return DecodedFile(radiograph, fitted, timing)

    def predict_outputs(
        self,
        file: DecodedFile,
        outputs: Outputs,
        row: int,
        model_ms: float,
        *,
        overlay: bool = True,
        pictures: bool = True,
        page: bool = False,
    ) -> Prediction:
        """Return a file's prediction from row ``row`` of a forward pass of ``model_ms`` milliseconds."""
        bundle = self.bundle
        examined = examine(
            self.engine, self._ood_detector, file.radiograph, file.fitted, outputs, row
        )
        file = DecodedFile(examined.radiograph, examined.fitted, file.timing)
        outputs, row, codes = examined.outputs, examined.row, examined.codes
        radiograph, crop = file.radiograph, file.fitted.crop
        warnings = input_warnings(codes, radiograph, crop, bundle)
        logit = float(bundle.logits(outputs)[row])
        probability = bundle.calibration.probability(logit)
        positive = probability >= bundle.threshold
        label = bundle.labels.positive if positive else bundle.labels.negative
        certainty = certainty_of(probability, bundle.doubt, codes)
        withheld = certainty == WITHHELD
        started, activation = time.perf_counter(), None
        boxes = boxes_of_answer(bundle, outputs, row, crop, positive=positive, certainty=certainty)
        if boxes == () and positive and certainty == DEFINITE:
            warnings = (*warnings, not_localised())
        if not withheld:
            activation = geometry.map_over_picture(
                outputs.map[row], radiograph.height, radiograph.width, bundle.map_offset, crop
            )
        blend = pictures and overlay
        drawing = _draw(
            file,
            activation,
            bundle.scale_top,
            boxes or (),
            heatmap=pictures,
            blend=blend,
            page=page,
            dashed=certainty == DOUBTFUL,
        )
        timing = {**file.timing, "model": model_ms, "map": _milliseconds_since(started)}
        known = None if NOT_MEASURED.intersection(codes) else self._predictive_values.get(positive)
        return Prediction(
            prediction=None if withheld else label,
            confidence=None if withheld else probability if positive else 1.0 - probability,
            probability=None if withheld else probability,
            threshold=bundle.threshold,
            certainty=certainty,
            label_meaning=bundle.labels.meaning,
            region=None if withheld else _region(bundle, outputs, row),
            heatmap=drawing.heatmap,
            overlay=drawing.overlay,
            radiograph=drawing.radiograph,
            peak=drawing.peak,
            width=radiograph.width,
            height=radiograph.height,
            format=radiograph.format,
            warnings=warnings,
            architecture=bundle.architecture,
            sha256=bundle.sha256,
            scale_top=bundle.scale_top,
            logit=logit,
            timing_ms={name: round(value, 2) for name, value in timing.items()},
            predictive_value=known,
            boxes=boxes,
        )


def load_predictor(
    model: Path,
    *,
    limits: Limits | None = None,
    prevalence: float | None = None,
    engine: str = DEFAULT_ENGINE,
    **options: Any,
) -> Predictor:
    """Load a bundle into an engine that passes the self-test, and return its predictor.

    Args and errors are those of ``Predictor`` and ``engine.load_engine``, which takes ``options``.
    """
    return Predictor(load_engine(model, engine, **options), limits=limits, prevalence=prevalence)


@dataclass(frozen=True, eq=False)
class _Drawing:
    """Pictures of a prediction, and the map's peak in pixels of the file; None for what is not drawn."""

    peak: tuple[int, int] | None = None
    heatmap: bytes | None = None
    overlay: bytes | None = None
    radiograph: bytes | None = None


def _draw(
    file: DecodedFile,
    activation: np.ndarray | None,
    scale_top: float,
    boxes: Sequence[FractureBox],
    *,
    heatmap: bool,
    blend: bool,
    page: bool,
    dashed: bool,
) -> _Drawing:
    """Draw a prediction; without an activation map, as for a withheld answer, the radiograph alone."""
    radiograph, grey = file.radiograph, None
    if page or (blend and activation is not None):
        # What is dim is shown as the network sees it.
        pixels = stretched(radiograph.pixels, file.fitted.brightness)
        grey = overlay.grey_levels(pixels, overlay.BLEND_SIDE)
    shown = overlay.jpeg(grey) if page and grey is not None else None
    if activation is None:
        return _Drawing(radiograph=shown)
    height, width = radiograph.height, radiograph.width
    peak = geometry.peak(activation, height, width)
    if not heatmap:
        return _Drawing(peak, radiograph=shown)
    level = overlay.levels(
        activation, *geometry.shrunk(height, width, geometry.MAP_SIDE), scale_top
    )
    map_png, blended = overlay.png(level), None
    if blend and grey is not None:
        if level.shape != grey.shape:
            rows, columns = grey.shape
            level = overlay.levels(activation, rows, columns, scale_top)
        picture = overlay.blend(grey, level)
        for box in boxes:
            overlay.outline(picture, _shown(box, grey.shape[0] / height), dashed=dashed)
        blended = overlay.jpeg(picture)
    return _Drawing(peak, map_png, blended, shown)


def _shown(box: FractureBox, ratio: float) -> geometry.Rectangle:
    """Return the pixels of a box in a picture shown ``ratio`` times as large."""
    left, top = math.floor(box.x * ratio), math.floor(box.y * ratio)
    right, bottom = math.ceil((box.x + box.width) * ratio), math.ceil((box.y + box.height) * ratio)
    return geometry.Rectangle(top, left, bottom - top, right - left)


def _region(bundle: Bundle, outputs: Outputs, row: int) -> RegionPrediction | None:
    """Return the likeliest body part and its probability, None without that head."""
    if outputs.region is None:
        return None
    best = int(np.argmax(outputs.region[row]))
    return RegionPrediction(bundle.regions[best], float(outputs.region[row, best]))


def _milliseconds_since(started: float) -> float:
    """Return the time since a moment of ``time.perf_counter``."""
    return 1000.0 * (time.perf_counter() - started)
