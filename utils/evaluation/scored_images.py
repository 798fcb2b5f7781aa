"""Scored images: the images of an evaluation with the network's outputs, and predictions.csv."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from utils.datasets.image_cache import FileFacts, PreparedImages
from utils.datasets.sample import Dataset, Sample
from utils.errors import InputError
from utils.evaluation.report_schema import EvaluationReport
from utils.inference.engines.engine import Engine
from utils.inference.input_warnings import warning_codes
from utils.model.bundle import Bundle, read_ood_detector

# Column that names an image: its sample's id, which is its path below the dataset's root.
NAME = "path"


@dataclass(frozen=True, eq=False)
class ScoredImages:
    """The images of an evaluation, row by row, with the model's outputs.

    Args:
        parts: part of each: of the model's own split, or of the source where the data are foreign.
        groups: units of the bootstrap: patients, or clusters of near-duplicates.
        labels: int (n,).
        logit: float64 (n,), before calibration, see ``Bundle.logits``.
        probability: float64 (n,), calibrated.
        maps: float32 (n, h, w), signed, logits.
        region: predicted body part of each, None without that head.
        input_warnings: codes of each image's input warnings.
        map_offset: receptive-field centre offset, see ``Bundle.map_offset``.
    """

    samples: tuple[Sample, ...]
    files: tuple[FileFacts, ...]
    parts: tuple[str, ...]
    groups: tuple[str, ...]
    labels: np.ndarray
    logit: np.ndarray
    probability: np.ndarray
    maps: np.ndarray
    region: tuple[str, ...] | None
    input_warnings: tuple[tuple[str, ...], ...]
    map_offset: float = 0.0

    def take(
        self, rows: Sequence[int] | np.ndarray, probability: np.ndarray | None = None
    ) -> ScoredImages:
        """Return some of the images, with other probabilities where these are given."""
        chosen = np.asarray(rows, int)
        taken: dict[str, Any] = {}
        for name, values in vars(self).items():
            if isinstance(values, tuple):
                taken[name] = tuple(values[row] for row in chosen)
            elif isinstance(values, np.ndarray):
                taken[name] = values[chosen]
        if probability is not None:
            taken["probability"] = probability
        return replace(self, **taken)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """An evaluated model, its data with the model's outputs, and the content of metrics.json."""

    bundle: Bundle
    dataset: Dataset
    scored: ScoredImages
    report: EvaluationReport


def score(
    engine: Engine,
    prepared: PreparedImages,
    rows: np.ndarray,
    parts: Sequence[str],
    groups: Sequence[str],
    *,
    batch_size: int,
    progress: bool,
) -> ScoredImages:
    """Run the network over some of the images; ``parts`` and ``groups`` are those of all images."""
    from tqdm import tqdm

    outputs = []
    with tqdm(total=rows.size, desc="evaluating", unit="image", disable=not progress) as bar:
        for start in range(0, rows.size, batch_size):
            chunk = rows[start : start + batch_size]
            outputs.append(engine.run(np.asarray(prepared.images[chunk])))
            bar.update(chunk.size)
    logit = np.concatenate([engine.bundle.logits(output) for output in outputs])
    names = engine.bundle.regions
    predicted = (output.predicted_regions(names) for output in outputs)
    region = tuple(chain.from_iterable(predicted)) if names else None
    samples = tuple(prepared.samples[row] for row in rows)
    files = tuple(prepared.files[row] for row in rows)
    places = ((output, row) for output in outputs for row in range(len(output.logit)))
    detector = read_ood_detector(engine.bundle)
    input_warnings = tuple(
        warning_codes(engine.bundle, detector, *place, file.crop, file.brightness)
        for place, file in zip(places, files, strict=True)
    )
    return ScoredImages(
        samples=samples,
        files=files,
        parts=tuple(parts[row] for row in rows),
        groups=tuple(groups[row] for row in rows),
        labels=np.array([sample.label for sample in samples]),
        logit=logit,
        probability=np.asarray(engine.bundle.calibration.probability(logit)),
        maps=np.concatenate([output.map for output in outputs]),
        region=region,
        input_warnings=input_warnings,
        map_offset=engine.bundle.map_offset,
    )


def prediction_rows(scored: ScoredImages, threshold: float) -> Iterator[dict[str, object]]:
    """Yield the lines of predictions.csv by column, in the dataset's order."""
    for row, (sample, file) in enumerate(zip(scored.samples, scored.files, strict=True)):
        probability = float(scored.probability[row])
        yield {
            NAME: sample.id,
            "part": scored.parts[row],
            "group": scored.groups[row],
            "label": sample.label,
            "probability": f"{probability:.6f}",
            "prediction": int(probability >= threshold),
            "study": sample.study or "",
            "region": sample.region or "",
            "view": sample.view or "",
            "hardware": "" if sample.hardware is None else int(sample.hardware),
            "truncated": int(file.truncated),
            "logit": f"{float(scored.logit[row]):.6f}",
        }


def write_predictions(scored: ScoredImages, threshold: float, path: Path) -> None:
    """Write one line an image."""
    rows = list(prediction_rows(scored, threshold))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_names(path: Path, samples: Sequence[Sample]) -> frozenset[str]:
    """Read the ids of samples, one or more, that a predictions.csv names in its column ``path``.

    Raises:
        InputError: the file cannot be read, names no image, or names some that the dataset has not.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = csv.DictReader(stream)
            named = {line[NAME]: None for line in lines} if NAME in (lines.fieldnames or ()) else {}
    except (OSError, ValueError, csv.Error) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else str(fault)
        raise InputError("evaluation.no_table", path=path, reason=reason) from fault
    if not named:
        raise InputError("evaluation.no_image_named", path=path, column=NAME)
    known = {sample.id for sample in samples}
    missing = [name for name in named if name not in known]
    if missing:
        raise InputError(
            "evaluation.images_missing",
            missing=len(missing),
            named=len(named),
            path=path,
            images=len(known),
            first=missing[0],
        )
    return frozenset(named)
