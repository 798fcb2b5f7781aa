"""Recalibration on other data: a new decision, its evaluation, and a bundle that carries it.

One part of those data, by a hash of each group, fits the calibration and the threshold; all figures that
are reported afterwards are of the rest. The model that was evaluated is never changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from utils.datasets.duplicates import fingerprints
from utils.datasets.image_cache import PreparedImages
from utils.datasets.split import part_of
from utils.errors import DatasetError, InputError
from utils.evaluation import report_schema as schema
from utils.evaluation.scored_images import Evaluation, ScoredImages
from utils.evaluation.strata import performance, tables
from utils.messages import sentence
from utils.model.bundle import Bundle, read_manifest
from utils.model.bundle_writer import save_variant
from utils.model.calibration import Calibration, fit_calibration
from utils.model.manifest import TrainingManifest
from utils.model.operating_point import EVEN_CHANCE, choose_operating_points
from utils.model.sidecar import Decision

FITTING, REST = "fitting", "rest"
SHARES = {FITTING: 0.5, REST: 0.5}
# Distance from the ideal of each figure that a recalibration can degrade.
_ERRORS: dict[str, Callable[[float], float]] = {
    "calibration_slope": lambda slope: abs(slope - 1.0),
    "brier": float,
    "calibration_error": float,
}
# Images of each class in each part, at least; so few give wide intervals.
LEAST = 10


@dataclass(frozen=True, eq=False)
class Recalibration:
    """A decision that was fitted on other data than the model was trained on.

    Args:
        evaluation: of the rest of those data with the new decision.
        original: the bundle as it was.
        fitting: the images that the new decision was fitted on, with their new probabilities.
    """

    evaluation: Evaluation
    original: Bundle
    fitting: ScoredImages


def fit_recalibration(
    evaluation: Evaluation, *, recalibrate: bool, sensitivity: float | None, seed: int
) -> Recalibration:
    """Fit a decision on a part of the evaluated images, and evaluate it on the rest.

    Args:
        evaluation: of foreign data, with the bundle's own decision.
        recalibrate: fit slope and intercept anew. The threshold and the doubtful zone move with them, so
            that the same images are called positive, unless ``sensitivity`` asks for new ones.
        sensitivity: choose threshold and doubtful zone anew, so that this share of positives is found;
            None keeps those of the bundle.
        seed: of the division, which is by a hash of each group.

    Returns:
        The outcome; ``report.recalibration`` holds counts and values before and after.

    Raises:
        DatasetError: a part has too few images of a class.
    """
    scored, bundle, report = evaluation.scored, evaluation.bundle, evaluation.report
    # Not the key of the training's split, which already determined which images are here.
    sides = np.array([part_of(f"local:{group}", seed, SHARES) for group in scored.groups])
    rows = {side: np.flatnonzero(sides == side) for side in SHARES}
    _check(scored, rows[FITTING], rows[REST])
    labels, logit = scored.labels[rows[FITTING]], scored.logit[rows[FITTING]]
    calibration = fit_calibration(logit, labels) if recalibrate else bundle.calibration
    decision = _decision(bundle, calibration, logit, labels, sensitivity)
    decided = replace(bundle, sidecar=bundle.sidecar.model_copy(update={"decision": decision}))
    fitting, rest = (
        scored.take(chosen, np.asarray(calibration.probability(scored.logit[chosen])))
        for chosen in (rows[FITTING], rows[REST])
    )
    drawing = report.bootstrap.model_dump(include={"resamples", "seed"})

    def measured(images: ScoredImages, threshold: float) -> schema.Performance:
        return performance(images.labels, images.probability, images.groups, threshold, **drawing)

    fitted = measured(fitting, decision.threshold)
    before = measured(scored.take(rows[REST]), bundle.threshold).figures
    prevalences = [row.prevalence for row in report.predictive_values]
    new = tables(rest, decided, **drawing, prevalences=prevalences)
    record = schema.RecalibrationRecord(
        recalibrated=recalibrate,
        sensitivity=sensitivity,
        split=schema.Division(seed=seed, shares=SHARES),
        fitting=fitted.counts,
        rest=new.images.counts,
        before=_values(bundle.sidecar.decision),
        after=_values(decision),
        figures_on_the_fitting_part=fitted.figures,
        worse=_degraded(before, new.images.figures),
        figures_before=before,
    )
    decided_by = {name: getattr(decision, name) for name in ("threshold", "doubt", "chosen_by")}
    model = report.model.model_copy(update=decided_by)
    changes = {"model": model, "recalibration": record, **dict(new)}
    return Recalibration(
        Evaluation(decided, evaluation.dataset, rest, report.model_copy(update=changes)),
        bundle,
        fitting,
    )


def degradation_message(report: schema.EvaluationReport) -> str:
    """Return one sentence that names the figures a recalibration degraded; empty where it degraded none."""
    record, after = report.recalibration, report.images.figures
    if record is None or not record.worse:
        return ""
    figures = "; ".join(
        sentence(
            "evaluation.degraded_figure",
            name=schema.FIGURES[name],
            after=getattr(after, name).value,
            before=getattr(record.figures_before, name).value,
        )
        for name in record.worse
    )
    return sentence("evaluation.degraded", figures=figures)


def check_target(path: Path, model: Path) -> None:
    """Raise InputError where a new bundle cannot be saved there, before any work is done."""
    if path.suffix != ".h5":
        raise InputError("evaluation.no_bundle_name", path=path)
    if path.resolve() == model.resolve():
        raise InputError("evaluation.overwrites_model", path=path)


def save_recalibration(local: Recalibration, prepared: PreparedImages, path: Path) -> Bundle:
    """Save the model's weights with the new decision as a bundle of its own.

    Args:
        prepared: the images that were evaluated, for the training manifest of the new bundle.
        path: of the ``.h5`` file.

    Returns:
        The bundle as read back. Its sidecar records under ``training.local`` the data and the number of
        images behind the decision; its ``metrics`` are those of these data.

    Raises:
        BundleError: the original's training manifest is missing or altered, or its weights are.
    """
    evaluation, original = local.evaluation, local.original
    report = evaluation.report
    record = report.recalibration
    assert record is not None
    kept = original.metrics.get("test", {}).get("localisation")
    marked = report.localisation.marked.model_dump() if report.localisation else kept
    source = report.dataset.model_dump(include={"name", "meaning", "attribution", "part"})
    fitted = record.model_dump(exclude={"figures_on_the_fitting_part", "figures_before"})
    return save_variant(
        original,
        path,
        decision=evaluation.bundle.sidecar.decision,
        training={**original.training, "local": {**source, **fitted}},
        metrics={
            "validation": record.figures_on_the_fitting_part.model_dump(),
            # The localisation does not depend on the decision.
            "test": {**report.images.figures.model_dump(), "localisation": marked},
        },
        manifest=_manifest(read_manifest(original), local.fitting, prepared),
    )


def _check(scored: ScoredImages, fitting: np.ndarray, rest: np.ndarray) -> None:
    """Raise DatasetError where a part has too few images of a class to fit or to report on."""
    counts = {}
    for part, rows in (("fitting", fitting), ("rest", rest)):
        counts[f"{part}_positive"] = int(scored.labels[rows].sum())
        counts[f"{part}_negative"] = rows.size - counts[f"{part}_positive"]
    if min(counts.values()) < LEAST:
        images, groups = len(scored.samples), len(set(scored.groups))
        raise DatasetError(
            "evaluation.too_few_images", least=LEAST, images=images, groups=groups, **counts
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
        threshold, low, high = (
            moved(bundle.threshold),
            moved(bundle.doubt[0]),
            moved(bundle.doubt[1]),
        )
        doubt = (low, max(high, EVEN_CHANCE))
        chosen_by = sentence("evaluation.moved_threshold", chosen_by=bundle.chosen_by)
    else:
        points = choose_operating_points(
            np.asarray(calibration.probability(logit)),
            labels,
            images=sentence("evaluation.fitting_part"),
            sensitivity=sensitivity,
        )
        threshold, doubt, chosen_by = points.threshold, points.doubt, points.chosen_by
    changes = {
        "calibration": calibration,
        "threshold": threshold,
        "chosen_by": chosen_by,
        "doubt": doubt,
    }
    # Body parts keep their calibrations, and what the test part could not show of them stays unknown.
    return Decision(**{**dict(bundle.sidecar.decision), **changes})


def _degraded(before: schema.Figures, after: schema.Figures) -> tuple[str, ...]:
    """Return the names of the figures that are farther from their ideal after a decision than before it."""
    degraded = []
    for name, error in _ERRORS.items():
        own, new = getattr(before, name).value, getattr(after, name).value
        if own is not None and new is not None and error(new) > error(own):
            degraded.append(name)
    return tuple(degraded)


def _values(decision: Decision) -> schema.DecisionValues:
    return schema.DecisionValues(
        **asdict(decision.calibration), threshold=decision.threshold, doubt=decision.doubt
    )


def _manifest(
    before: TrainingManifest, fitting: ScoredImages, prepared: PreparedImages
) -> TrainingManifest:
    """Add the images that a recalibration was fitted on to a training manifest."""
    ids = {sample.id for sample in fitting.samples}
    rows = [row for row, sample in enumerate(prepared.samples) if sample.id in ids]
    sha256 = frozenset(prepared.files[row].key for row in rows)
    prints = fingerprints(prepared.thumbnails[rows])
    if before.local is not None:
        sha256 |= before.local.sha256
        prints = np.concatenate([prints, before.local.fingerprints])
    return replace(before, local=TrainingManifest(sha256, prints))
