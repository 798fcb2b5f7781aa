"""Performance tables of scored images: overall, by study and by stratum."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from utils.datasets.image_cache import FileFacts
from utils.evaluation import report_schema as schema
from utils.evaluation.localisation import localisation_table
from utils.evaluation.metrics import confusion, mean_with_interval, summarise
from utils.evaluation.predictive_values import PREVALENCES, predictive_values
from utils.evaluation.scored_images import ScoredImages
from utils.inference.input_warnings import (
    ANSWER_CODES,
    CERTAINTIES,
    DEFINITE,
    certainty_of,
)
from utils.messages import sentence
from utils.model.bundle import Bundle

# Longest side of the original, pixels: upper edge (included) and name of each bin.
SIZES = (
    (512, "up to 512 px"),
    (1024, "513 to 1024 px"),
    (2048, "1025 to 2048 px"),
    (10**9, "over 2048 px"),
)
NOT_STATED = "not stated"


def tables(
    scored: ScoredImages,
    bundle: Bundle,
    *,
    resamples: int,
    seed: int,
    prevalences: Sequence[float] = PREVALENCES,
) -> schema.ImageTables:
    """Compute every table of the report; the bundle has the decision and the regions."""
    drawing: dict[str, int] = {"resamples": resamples, "seed": seed}
    measured = partial(performance, threshold=bundle.threshold, resamples=resamples, seed=seed)

    def of(chosen: np.ndarray) -> schema.Performance:
        rows = np.flatnonzero(chosen)
        groups = [scored.groups[row] for row in rows]
        return measured(scored.labels[rows], scored.probability[rows], groups)

    n = len(scored.samples)
    hardware = np.array([sample.hardware is True for sample in scored.samples], bool)
    truncated = np.array([file.truncated for file in scored.files], bool)
    certainty = certainties(scored, bundle.doubt)
    studies = by_study(scored)
    return schema.ImageTables(
        images=of(np.ones(n, bool)),
        studies=measured(*studies, rule=sentence("evaluation.study_rule")) if studies else None,
        without_hardware=of(~hardware) if hardware.any() else None,
        without_truncated=of(~truncated) if truncated.any() else None,
        definite=of(certainty == DEFINITE),
        certainty=schema.CertaintyCounts(
            **{name: int((certainty == name).sum()) for name in CERTAINTIES}
        ),
        strata={
            name: {value: of(np.array([key == value for key in keys], bool)) for value in values}
            for name, keys, values in _strata(scored)
        },
        predictive_values=predictive_values(
            scored.labels,
            scored.probability,
            scored.groups,
            bundle.threshold,
            prevalences,
            **drawing,
        ),
        localisation=localisation_table(scored, bundle.threshold, **drawing),
        region_head=_region_head(scored, bundle.regions, drawing),
        input_warnings=_input_warnings(scored, drawing),
    )


def performance(
    labels: np.ndarray,
    probability: np.ndarray,
    groups: Sequence[str],
    threshold: float,
    *,
    resamples: int,
    seed: int,
    rule: str | None = None,
) -> schema.Performance:
    """Return counts, outcomes and figures of some images or studies, see ``metrics.summarise``."""
    positive = int(np.sum(np.asarray(labels) == 1))
    n = len(groups)
    return schema.Performance(
        rule=rule,
        counts=schema.Counts(
            n=n, positive=positive, negative=n - positive, groups=len(set(groups))
        ),
        confusion=confusion(labels, probability, threshold),
        figures=summarise(labels, probability, groups, threshold, resamples=resamples, seed=seed),
    )


def by_study(scored: ScoredImages) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]] | None:
    """Join images into studies: positive if any image is, with the mean probability.

    Returns:
        Labels, probabilities and groups of the studies, sorted by study, without the images that belong
        to none; None where the source names no studies.

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
    """Return the certainty of each answer as the app gives it, see ``input_warnings.certainty_of``.

    Args:
        zone: doubtful probabilities, from the first to below the second.

    Returns:
        Names in CERTAINTIES, str (n,).
    """
    answers = zip(scored.probability, scored.input_warnings, strict=True)
    return np.array([certainty_of(float(value), zone, codes) for value, codes in answers], str)


def _input_warnings(scored: ScoredImages, drawing: Mapping[str, int]) -> schema.InputWarnings:
    """Count the images that carry each input warning."""
    rows: dict[schema.Label, np.ndarray] = {
        "positive": np.flatnonzero(scored.labels == 1),
        "negative": np.flatnonzero(scored.labels != 1),
    }

    def counted(carries: np.ndarray, chosen: np.ndarray) -> schema.CountAndShare:
        groups = [scored.groups[row] for row in chosen]
        share = mean_with_interval(carries[chosen], groups, **drawing)
        return schema.CountAndShare(n=int(carries[chosen].sum()), share=share)

    counts = {}
    for code in ANSWER_CODES:
        carries = np.array([code in codes for codes in scored.input_warnings], float)
        by_label = {label: counted(carries, chosen) for label, chosen in rows.items()}
        total = counted(carries, np.arange(carries.size))
        counts[code] = total.model_copy(update={"by_label": by_label})
    return schema.InputWarnings(
        n=len(scored.input_warnings),
        labels={label: chosen.size for label, chosen in rows.items()},
        codes=counts,
    )


def _strata(scored: ScoredImages) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each division of the images: its name, the stratum of each image, the strata in order."""
    samples, files = scored.samples, scored.files
    hardware = {True: "with hardware", False: "without hardware", None: NOT_STATED}
    regions = [sample.region or NOT_STATED for sample in samples]
    views = [sample.view or NOT_STATED for sample in samples]
    cut = ["truncated" if file.truncated else "whole" for file in files]
    divisions: tuple[tuple[str, list[str], Iterable[str]], ...] = (
        ("region", regions, sorted(set(regions))),
        ("view", views, sorted(set(views))),
        ("hardware", [hardware[sample.hardware] for sample in samples], hardware.values()),
        ("image_size", [longest_side_bin(file) for file in files], dict(SIZES).values()),
        ("truncated", cut, ("whole", "truncated")),
    )
    for name, keys, order in divisions:
        values = [value for value in order if value in keys]
        if values not in ([NOT_STATED], ["whole"]):
            yield name, keys, values


def _region_head(
    scored: ScoredImages, regions: Sequence[str], drawing: Mapping[str, int]
) -> schema.RegionHead | None:
    """Return the accuracy of the region head, on images of a body part that it knows."""
    if scored.region is None:
        return None
    rows = [row for row, sample in enumerate(scored.samples) if sample.region in regions]
    correct = np.array([scored.region[row] == scored.samples[row].region for row in rows], float)
    groups = [scored.groups[row] for row in rows]
    accuracy = mean_with_interval(correct, groups, **drawing)
    return schema.RegionHead(labels=tuple(regions), n=len(rows), accuracy=accuracy)


def longest_side_bin(file: FileFacts) -> str:
    """Name the bin of SIZES that a file's longest side falls into."""
    side = max(file.height, file.width)
    return next(name for edge, name in SIZES if side <= edge)
