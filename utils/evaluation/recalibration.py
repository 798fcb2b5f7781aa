"""Turns an evaluation on other data into a decision of their own, and into a bundle that carries it.

A part of those data, chosen by a hash of each group, fits the calibration and the threshold; everything that
is reported afterwards is of the rest. The model that was evaluated is never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from utils.datasets.duplicates import fingerprints
from utils.datasets.image_cache import PreparedImages
from utils.datasets.split import part_of
from utils.errors import DatasetError, InputError
from utils.evaluation.evaluate import Evaluation, describe_model
from utils.evaluation.metrics import FIGURES, Figure
from utils.evaluation.strata import ScoredImages, table_of, tables
from utils.model.bundle import Bundle, read_manifest, save_variant
from utils.model.calibration import Calibration, choose_operating_point, fit_calibration
from utils.model.manifest import TrainingManifest
from utils.model.sidecar import CalibrationSection, Decision

FITTING, REST = "fitting", "rest"
SHARES = {FITTING: 0.5, REST: 0.5}
# How far a figure that a decision can spoil is from what it should be.
_AMISS: dict[str, Callable[[float], float]] = {
    "calibration_slope": lambda slope: abs(slope - 1.0),
    "brier": float,
    "calibration_error": float,
}
# Images of each class in each part. So few give wide intervals, and fewer hardly any.
LEAST = 10


@dataclass(frozen=True, eq=False)
class Recalibration:
    """A decision that was fitted on other data than the model was trained on.

    Args:
        evaluation: of the rest of those data, with the new decision; its report tells of both.
        original: the bundle as it was.
        fitting: the images that the new decision was fitted on, with their new probabilities.
    """

    evaluation: Evaluation
    original: Bundle
    fitting: ScoredImages


def fit_recalibration(
    evaluation: Evaluation, *, recalibrate: bool, sensitivity: float | None, seed: int
) -> Recalibration:
    """Fit a decision on a part of what was evaluated, and evaluate it on the rest.

    Args:
        evaluation: of foreign data, with the bundle's own decision.
        recalibrate: fit slope and intercept anew. The threshold and the doubtful zone move with them, so
            that the same images are called positive, unless ``sensitivity`` asks for new ones.
        sensitivity: choose threshold and doubtful zone anew, so that this share of positives is found;
            None keeps what the bundle says.
        seed: of the division, which is by a hash of each group.

    Returns:
        The outcome; ``report["local_decision"]`` holds counts and values before and after, and under
        ``worse`` the names of figures that the model's own decision does better on the rest.

    Raises:
        DatasetError: a part has too few images of a class.
    """
    scored, bundle = evaluation.scored, evaluation.bundle
    # Not the key of the training's split: that hash decided already which images are here.
    sides = np.array([part_of(f"local:{group}", seed, SHARES) for group in scored.groups])
    rows = {side: np.flatnonzero(sides == side) for side in SHARES}
    _check(scored, rows)
    fitting = rows[FITTING]
    labels, logit = scored.labels[fitting], scored.logit[fitting]
    calibration = fit_calibration(logit, labels) if recalibrate else bundle.calibration
    decision = _decision(bundle, calibration, logit, labels, sensitivity)
    decided = replace(bundle, sidecar=bundle.sidecar.model_copy(update={"decision": decision}))
    parts = {
        side: scored.take(chosen, np.asarray(calibration.probability(scored.logit[chosen])))
        for side, chosen in rows.items()
    }
    drawing = {name: evaluation.report["bootstrap"][name] for name in ("resamples", "seed")}

    def table(of: ScoredImages, threshold: float) -> dict[str, Any]:
        return table_of(of.labels, of.probability, of.groups, threshold, **drawing)

    fitted = table(parts[FITTING], decision.threshold)
    figures = tables(
        parts[REST],
        decided,
        **drawing,
        prevalences=[row["prevalence"] for row in evaluation.report["predictive_values"]],
    )
    before = table(scored.take(rows[REST]), bundle.threshold)["figures"]
    told = {
        "recalibrated": recalibrate,
        "sensitivity": sensitivity,
        "split": {"seed": seed, "shares": SHARES, "unit": "group"},
        "fitting": fitted["counts"],
        "rest": figures["images"]["counts"],
        "before": _values(bundle.sidecar.decision),
        "after": _values(decision),
        "figures_on_the_fitting_part": fitted["figures"],
        "worse": _worse(before, figures["images"]["figures"]),
        "figures_before": before,
    }
    report = {
        **evaluation.report,
        "model": describe_model(decided),
        "local_decision": told,
        **figures,
    }
    # A table that the rest has not must not be left over from the whole.
    for name in ("studies", "without_hardware", "without_truncated"):
        if name not in figures:
            report.pop(name, None)
    rest = Evaluation(decided, evaluation.dataset, parts[REST], report)
    return Recalibration(rest, bundle, parts[FITTING])


def degradation_message(report: Mapping[str, Any]) -> str:
    """Say in one sentence which figures a local decision made worse; empty where it made none."""
    told, after = report["local_decision"], report["images"]["figures"]
    before = told["figures_before"]
    said = "; ".join(
        f"{FIGURES[name]} {after[name]['value']:.4f}, {before[name]['value']:.4f} before"
        for name in told["worse"]
    )
    return said and f"The decision fitted here does worse on the rest than the model's own: {said}."


def check_target(path: Path, model: Path) -> None:
    """Raise InputError where a new bundle cannot be saved there, before any work is done."""
    if path.suffix != ".h5":
        raise InputError(f"a bundle is saved under a name that ends in .h5, not as {path}")
    if path.resolve() == model.resolve():
        raise InputError(
            f"{path} is the model that is evaluated, which stays as it is; save under another name"
        )


def save_recalibration(local: Recalibration, prepared: PreparedImages, path: Path) -> Bundle:
    """Save the model's weights with the local decision as a bundle of its own.

    Args:
        local: the decision.
        prepared: the images that were evaluated, for the list of those that the new bundle has seen.
        path: of the ``.h5`` file.

    Returns:
        The bundle as read back. Its sidecar says under ``training.local`` from what data and how many
        images the decision comes; its ``metrics`` are those of these data.

    Raises:
        BundleError: the original's list of images is missing or altered, or its weights are.
    """
    evaluation, original = local.evaluation, local.original
    report = evaluation.report
    told = report["local_decision"]
    shown = report["localisation"]
    kept = original.metrics.get("test", {}).get("localisation")
    source = {
        **{name: report["dataset"][name] for name in ("name", "meaning", "attribution", "part")},
        **{name: value for name, value in told.items() if not name.startswith("figures")},
    }
    return save_variant(
        original,
        path,
        decision=evaluation.bundle.sidecar.decision,
        training={**original.training, "local": source},
        metrics={
            "validation": told["figures_on_the_fitting_part"],
            # Where the map points does not depend on the decision.
            "test": {
                **report["images"]["figures"],
                "localisation": shown["marked"] if shown else kept,
            },
        },
        seen=_seen(read_manifest(original), local.fitting, prepared),
    )


def _check(scored: ScoredImages, rows: dict[str, np.ndarray]) -> None:
    """Raise DatasetError where a part has too few images of a class to fit or to report on."""
    found = {}
    for side, chosen in rows.items():
        positive = int(scored.labels[chosen].sum())
        found[side] = (positive, chosen.size - positive)
    if min(min(counts) for counts in found.values()) >= LEAST:
        return
    (p, n), (q, m) = found[FITTING], found[REST]
    groups = len(set(scored.groups))
    raise DatasetError(
        f"a decision of their own needs at least {LEAST} images of each class to be fitted on, and as many "
        f"to be reported on; of these {len(scored.samples)} images in {groups} groups, {p} positive and "
        f"{n} negative ones would fit it and {q} and {m} be left; more images of different patients are "
        f"needed, or another --seed"
    )


def _decision(
    bundle: Bundle,
    calibration: Calibration,
    logit: np.ndarray,
    labels: np.ndarray,
    sensitivity: float | None,
) -> Decision:
    """Put calibration, threshold and doubtful zone together."""

    def moved(probability: float) -> float:
        return float(calibration.probability(bundle.calibration.logit(probability)))

    if sensitivity is None:
        threshold, doubt = moved(bundle.threshold), (moved(bundle.doubt[0]), moved(bundle.doubt[1]))
        chosen_by = (
            f"{bundle.chosen_by}; moved with a later calibration, so that it calls the same images"
        )
    else:
        probability = np.asarray(calibration.probability(logit))
        point = choose_operating_point(probability, labels, sensitivity=sensitivity, part=FITTING)
        threshold, doubt, chosen_by = point.threshold, point.doubt, point.chosen_by
    section = CalibrationSection(slope=calibration.slope, intercept=calibration.intercept)
    return Decision(calibration=section, threshold=threshold, chosen_by=chosen_by, doubt=doubt)


def _worse(before: Mapping[str, Figure], after: Mapping[str, Figure]) -> list[str]:
    """Name the figures that are farther from what they should be after a decision than before it."""

    def amiss(figures: Mapping[str, Figure], name: str) -> float | None:
        value = figures[name]["value"]
        return None if value is None else _AMISS[name](float(value))

    pairs = {name: (amiss(before, name), amiss(after, name)) for name in _AMISS}
    return [
        name
        for name, (own, new) in pairs.items()
        if own is not None and new is not None and new > own
    ]


def _values(decision: Decision) -> dict[str, Any]:
    """Return a decision's numbers, flat."""
    return {
        **decision.calibration.model_dump(),
        "threshold": decision.threshold,
        "doubt": list(decision.doubt),
    }


def _seen(
    before: TrainingManifest, fitting: ScoredImages, prepared: PreparedImages
) -> TrainingManifest:
    """Add the images that a local decision was fitted on to the list of those seen."""
    wanted = {sample.id for sample in fitting.samples}
    rows = [row for row, sample in enumerate(prepared.samples) if sample.id in wanted]
    sha256 = frozenset(prepared.files[row].sha256[:16] for row in rows)
    prints = fingerprints(prepared.thumbnails[rows])
    if before.local is not None:
        sha256, prints = (
            sha256 | before.local.sha256,
            np.concatenate([prints, before.local.fingerprints]),
        )
    return replace(before, local=TrainingManifest(sha256, prints))
