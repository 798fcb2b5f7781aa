"""From scored images to tables: overall, by study, by kind of image, and where the maps point."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.datasets.image_cache import FileFacts
from utils.datasets.sample import Sample
from utils.evaluation.localisation import localise, summarise_localisation
from utils.evaluation.metrics import confusion, mean_with_interval, summarise
from utils.evaluation.predictive_values import PREVALENCES, predictive_values
from utils.inference.certainty import (
    CERTAINTIES,
    DEFINITE,
    LOW_RESOLUTION,
    certainty_of,
    has_low_resolution,
)
from utils.model.bundle import Bundle
from utils.model.ood import CODES

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
class ScoredImages:
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
        doubts: codes of what each picture is doubted for, None where the model doubts no picture.
        map_shift: how far right and down the maps' cells look, see ``Bundle.map_offset``.
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
    doubts: tuple[tuple[str, ...], ...] | None = None
    map_offset: float = 0.0

    def take(
        self, rows: Sequence[int] | np.ndarray, probability: np.ndarray | None = None
    ) -> ScoredImages:
        """Return some of the images, with other probabilities where these are given."""
        some = np.asarray(rows, int)

        def of(values: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(values[row] for row in some)

        return ScoredImages(
            samples=of(self.samples),
            files=of(self.files),
            parts=of(self.parts),
            groups=of(self.groups),
            labels=self.labels[some],
            logit=self.logit[some],
            probability=self.probability[some] if probability is None else probability,
            maps=self.maps[some],
            region=None if self.region is None else of(self.region),
            doubts=None if self.doubts is None else of(self.doubts),
            map_offset=self.map_offset,
        )


def tables(
    scored: ScoredImages,
    bundle: Bundle,
    *,
    resamples: int,
    seed: int,
    prevalences: Sequence[float] = PREVALENCES,
) -> dict[str, Any]:
    """Compute every table of the report, JSON-able, by the name it has in metrics.json.

    Args:
        scored: the images and answers.
        bundle: the model's decision and regions.
        resamples, seed: of the bootstrap, see ``metrics.summarise``.
        prevalences: for which the predictive values are tabled.
    """

    def of(chosen: np.ndarray) -> dict[str, Any]:
        rows = np.flatnonzero(chosen)
        groups = [scored.groups[row] for row in rows]
        return table(scored.labels[rows], scored.probability[rows], groups)

    def table(labels: np.ndarray, probability: np.ndarray, groups: Sequence[str]) -> dict[str, Any]:
        return table_of(
            labels, probability, groups, bundle.threshold, resamples=resamples, seed=seed
        )

    n = len(scored.samples)
    hardware = np.array([sample.hardware is True for sample in scored.samples], bool)
    truncated = np.array([file.truncated for file in scored.files], bool)
    certainty = certainties(scored, bundle.doubt)
    figures: dict[str, Any] = {"images": of(np.ones(n, bool))}
    studies = by_study(scored)
    if studies is not None:
        figures["studies"] = {"rule": STUDY_RULE, **table(*studies)}
    if hardware.any():
        figures["without_hardware"] = of(~hardware)
    if truncated.any():
        figures["without_truncated"] = of(~truncated)
    figures["definite"] = of(certainty == DEFINITE)
    figures["certainty"] = {name: int((certainty == name).sum()) for name in CERTAINTIES}
    figures["by"] = {
        name: {value: of(np.array([key == value for key in keys], bool)) for value in values}
        for name, keys, values in _strata(scored)
    }
    figures["predictive_values"] = predictive_values(
        scored.labels,
        scored.probability,
        scored.groups,
        bundle.threshold,
        prevalences,
        resamples=resamples,
        seed=seed,
    )
    figures["localisation"] = _localisation(scored, bundle, resamples, seed)
    figures["region_head"] = _region_head(scored, bundle, resamples, seed)
    figures["doubts"] = _doubts(scored, resamples, seed)
    return figures


def table_of(
    labels: np.ndarray,
    probability: np.ndarray,
    groups: Sequence[str],
    threshold: float,
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Count some images, their outcomes and their figures, see ``metrics.summarise``."""
    positive = int(np.sum(np.asarray(labels) == 1))
    return {
        "counts": {
            "n": len(groups),
            "positive": positive,
            "negative": len(groups) - positive,
            "groups": len(set(groups)),
        },
        "confusion": confusion(labels, probability, threshold),
        "figures": summarise(
            labels, probability, groups, threshold, resamples=resamples, seed=seed
        ),
    }


def by_study(scored: ScoredImages) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]] | None:
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


def certainties(scored: ScoredImages, zone: tuple[float, float]) -> np.ndarray:
    """Say how certain the app's answer to each image is, see ``certainty.certainty_of``.

    Args:
        scored: the images and answers.
        zone: doubtful probabilities, from the first to below the second.

    Returns:
        Names in CERTAINTIES, str (n,).
    """
    doubts = scored.doubts or ((),) * len(scored.samples)
    answers = zip(scored.probability, doubts, scored.files, strict=True)
    return np.array(
        [
            certainty_of(float(probability), zone, _warnings(told, file))
            for probability, told, file in answers
        ],
        str,
    )


def _warnings(doubts: tuple[str, ...], file: FileFacts) -> tuple[str, ...]:
    """Return the codes of what a picture is warned of."""
    return (*doubts, LOW_RESOLUTION) if has_low_resolution(file.crop) else doubts


def _doubts(scored: ScoredImages, resamples: int, seed: int) -> dict[str, Any] | None:
    """Say how many pictures are doubted, for what and of which label; None where the model doubts none."""
    if scored.doubts is None:
        return None
    rows = {
        "positive": np.flatnonzero(scored.labels == 1),
        "negative": np.flatnonzero(scored.labels != 1),
    }

    def counted(found: np.ndarray, chosen: np.ndarray) -> dict[str, Any]:
        groups = [scored.groups[row] for row in chosen]
        share = mean_with_interval(found[chosen], groups, resamples=resamples, seed=seed)
        return {"n": int(found[chosen].sum()), "share": share}

    told = {code: np.array([code in doubts for doubts in scored.doubts], float) for code in CODES}
    return {
        "n": len(scored.doubts),
        "labels": {label: chosen.size for label, chosen in rows.items()},
        "codes": {
            code: {
                **counted(found, np.arange(found.size)),
                "by_label": {label: counted(found, chosen) for label, chosen in rows.items()},
            }
            for code, found in told.items()
        },
    }


def _strata(scored: ScoredImages) -> Iterator[tuple[str, list[str], list[str]]]:
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
    scored: ScoredImages, bundle: Bundle, resamples: int, seed: int
) -> dict[str, Any] | None:
    """How the maps lie on the marked lesions, None where the source marks none."""
    aims = {
        row: localise(scored.maps[row], sample, scored.files[row], scored.map_offset)
        for row, sample in enumerate(scored.samples)
        if sample.boxes
    }
    if not aims:
        return None
    called = [row for row in aims if scored.probability[row] >= bundle.threshold]

    def measured(rows: Sequence[int]) -> dict[str, Any]:
        groups = [scored.groups[row] for row in rows]
        return summarise_localisation(
            [aims[row] for row in rows], groups, resamples=resamples, seed=seed
        )

    return {
        "rules": {
            "pointing_game": "the map's highest place lies inside a marked lesion, without tolerance",
            "evidence_inside": "share of the positive map's sum that lies inside marked lesions",
            "overlap": "intersection over union of the marked lesions with the map from half of its "
            "maximum on",
        },
        "marked": measured(list(aims)),
        "marked_and_called_positive": measured(called),
        "chance": {
            "meaning": "mean share of the picture that the lesions cover: a peak placed anywhere, a map "
            "of one value everywhere",
            "value": float(np.mean([aim.covered for aim in aims.values()])),
        },
    }


def _region_head(
    scored: ScoredImages, bundle: Bundle, resamples: int, seed: int
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
