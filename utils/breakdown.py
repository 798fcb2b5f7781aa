"""From scored images to tables: overall, by study, by kind of image, and where the maps point."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils import overlay
from utils.bundle import Bundle
from utils.datasets.sample import Sample
from utils.metrics import confusion, mean_with_interval, pointing_game, summarise
from utils.pipeline import FileFacts

# Longest side of the original, pixels: upper edge (included) and name of each bin.
SIZES = (
    (512, "up to 512 px"),
    (1024, "513 to 1024 px"),
    (2048, "1025 to 2048 px"),
    (10**9, "over 2048 px"),
)
NOT_STATED = "not stated"
STUDY_RULE = "the mean of its images' probabilities, against the same threshold"


@dataclass(frozen=True, eq=False)
class Scored:
    """The images that were evaluated, row by row, and what the model said of each.

    Args:
        samples: the images.
        files: what is known of each file.
        parts: part of each: of the model's own split, or of the source where the data are foreign.
        groups: what the bootstrap draws: patients, or clusters of near-duplicates.
        labels: int (n,).
        logit: float32 (n,), before calibration.
        probability: float64 (n,), calibrated.
        maps: float32 (n, h, w), signed, logits.
        region: predicted body part of each, None without that head.
        map_shift: how far right and down the maps' cells look, see ``Bundle.map_shift``.
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
    map_shift: float = 0.0


def tables(scored: Scored, bundle: Bundle, *, resamples: int, seed: int) -> dict[str, Any]:
    """Compute every table of the report, JSON-able, by the name it has in metrics.json.

    Args:
        scored: the images and answers.
        bundle: the model's decision and regions.
        resamples, seed: of the bootstrap, see ``metrics.summarise``.
    """

    def table(labels: Any, probability: Any, groups: Sequence[str]) -> dict[str, Any]:
        positive = int(np.sum(np.asarray(labels) == 1))
        return {
            "counts": {
                "n": len(groups),
                "positive": positive,
                "negative": len(groups) - positive,
                "groups": len(set(groups)),
            },
            "confusion": confusion(labels, probability, bundle.threshold),
            "figures": summarise(
                labels, probability, groups, bundle.threshold, resamples=resamples, seed=seed
            ),
        }

    def of(chosen: np.ndarray) -> dict[str, Any]:
        rows = np.flatnonzero(chosen)
        groups = [scored.groups[row] for row in rows]
        return table(scored.labels[rows], scored.probability[rows], groups)

    n = len(scored.samples)
    hardware = np.array([sample.hardware is True for sample in scored.samples], bool)
    truncated = np.array([file.truncated for file in scored.files], bool)
    low, high = bundle.doubt
    doubtful = (scored.probability >= low) & (scored.probability < high)
    figures: dict[str, Any] = {"images": of(np.ones(n, bool))}
    studies = by_study(scored)
    if studies is not None:
        figures["studies"] = {"rule": STUDY_RULE, **table(*studies)}
    if hardware.any():
        figures["without_hardware"] = of(~hardware)
    if truncated.any():
        figures["without_truncated"] = of(~truncated)
    figures["definite"] = of(~doubtful)
    figures["by"] = {
        name: {value: of(np.array([key == value for key in keys], bool)) for value in values}
        for name, keys, values in _strata(scored)
    }
    figures["localisation"] = _localisation(scored, bundle, resamples, seed)
    figures["region_head"] = _region_head(scored, bundle, resamples, seed)
    return figures


def by_study(scored: Scored) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]] | None:
    """Join images into studies: positive if any image is, with the mean probability.

    Returns:
        Labels, probabilities and groups of the studies, sorted by study; None where the source names
        no studies. Images without one are left out.

    Source:
        Rajpurkar et al., MURA, arXiv:1712.06957, section 3.1 (the mean over a study's images).
    """
    members: dict[str, list[int]] = {}
    for row, sample in enumerate(scored.samples):
        if sample.study is not None:
            members.setdefault(sample.study, []).append(row)
    if not members:
        return None
    studies = [np.array(members[name]) for name in sorted(members)]
    return (
        np.array([scored.labels[rows].max() for rows in studies]),
        np.array([scored.probability[rows].mean() for rows in studies]),
        tuple(min(scored.groups[row] for row in rows) for rows in studies),
    )


def _strata(scored: Scored) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each way to divide the images that divides them: name, key of each image, keys in order."""
    hardware = {True: "with hardware", False: "without hardware", None: NOT_STATED}
    ways: dict[str, tuple[Callable[[Sample, FileFacts], str], list[str] | None]] = {
        "region": (lambda sample, file: sample.region or NOT_STATED, None),
        "view": (lambda sample, file: sample.view or NOT_STATED, None),
        "hardware": (lambda sample, file: hardware[sample.hardware], list(hardware.values())),
        "image_size": (lambda sample, file: longest_side_bin(file), [name for _, name in SIZES]),
        "truncated": (
            lambda sample, file: "truncated" if file.truncated else "whole",
            ["whole", "truncated"],
        ),
    }
    for name, (key_of, order) in ways.items():
        keys = [
            key_of(sample, file) for sample, file in zip(scored.samples, scored.files, strict=True)
        ]
        present = set(keys)
        values = [value for value in order or sorted(present) if value in present]
        if values != [NOT_STATED] and values != ["whole"]:
            yield name, keys, values


def _localisation(
    scored: Scored, bundle: Bundle, resamples: int, seed: int
) -> dict[str, Any] | None:
    """How often the map's peak lies in a marked lesion, None where the source marks none."""
    rows = [row for row, sample in enumerate(scored.samples) if sample.boxes]
    if not rows:
        return None
    called = [row for row in rows if scored.probability[row] >= bundle.threshold]

    def game(chosen: list[int]) -> dict[str, Any]:
        peaks = [peak_of(scored, row) for row in chosen]
        boxes = [
            [(box.x, box.y, box.width, box.height) for box in scored.samples[row].boxes]
            for row in chosen
        ]
        groups = [scored.groups[row] for row in chosen]
        hits = pointing_game(peaks, boxes, groups, resamples=resamples, seed=seed)
        return {"n": len(chosen), "pointing_game": hits}

    return {
        "rule": "the map's highest place lies inside a marked lesion, without tolerance",
        "marked": game(rows),
        "marked_and_called_positive": game(called),
        "chance": {
            "meaning": "mean share of the picture that the lesions cover: a peak placed anywhere",
            "value": float(np.mean([_covered(scored, row) for row in rows])),
        },
    }


def peak_of(scored: Scored, row: int) -> tuple[int, int] | None:
    """Return (x, y) of the map's highest place in pixels of the original, as the app shows it."""
    file = scored.files[row]
    activation = overlay.undo_letterbox(scored.maps[row], file.height, file.width, scored.map_shift)
    return overlay.peak(activation, file.height, file.width)


def _covered(scored: Scored, row: int) -> float:
    """Share of an image's pixels that lie in one of its boxes."""
    file = scored.files[row]
    mask = np.zeros((file.height, file.width), bool)
    for box in scored.samples[row].boxes:
        top, left = max(0, round(box.y)), max(0, round(box.x))
        mask[top : round(box.y + box.height), left : round(box.x + box.width)] = True
    return float(mask.mean())


def _region_head(
    scored: Scored, bundle: Bundle, resamples: int, seed: int
) -> dict[str, Any] | None:
    """How often the region head names the body part, on images whose part it knows."""
    if scored.region is None:
        return None
    rows = [row for row, sample in enumerate(scored.samples) if sample.region in bundle.regions]
    right = np.array([scored.region[row] == scored.samples[row].region for row in rows], float)
    groups = [scored.groups[row] for row in rows]
    share = mean_with_interval(right, groups, resamples=resamples, seed=seed)
    return {"labels": list(bundle.regions), "n": len(rows), "accuracy": share}


def longest_side_bin(file: FileFacts) -> str:
    """Name the bin of SIZES that a file's longest side falls into."""
    side = max(file.height, file.width)
    return next(name for edge, name in SIZES if side <= edge)
