"""The table predictions.csv: one line an image; read again, it selects images."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from utils.datasets.sample import Sample
from utils.errors import InputError
from utils.evaluation.strata import ScoredImages

# Column that names an image: its sample's id, which is its path below the dataset's root.
NAME = "path"


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
    """Write one line an image.

    Raises:
        OSError: the file cannot be written.
    """
    rows = list(prediction_rows(scored, threshold))
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_names(path: Path, samples: Sequence[Sample]) -> frozenset[str]:
    """Read the ids of samples that a predictions.csv names; its other columns do not matter.

    Args:
        path: of the CSV file.
        samples: of the dataset.

    Returns:
        Ids of samples, one or more.

    Raises:
        InputError: the file cannot be read, names no image, or names some that the dataset has not.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = csv.DictReader(stream)
            named = {line[NAME]: None for line in lines} if NAME in (lines.fieldnames or ()) else {}
    except (OSError, ValueError, csv.Error) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else fault
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
