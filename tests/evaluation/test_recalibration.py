"""Recalibration: fitted on one part, reported on the other, saved as another bundle."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from tests.support.bundles import tiny_bundle
from tests.support.pictures import draw_radiograph, encode
from tests.support.trees import fracatlas_tree
from utils.datasets.image_cache import PreparedImages, prepare_images
from utils.datasets.readers import read_dataset
from utils.datasets.split import part_of
from utils.errors import DatasetError, InputError
from utils.evaluation.evaluate import evaluate
from utils.evaluation.recalibration import (
    FITTING,
    REST,
    SHARES,
    Recalibration,
    check_target,
    degradation_message,
    fit_recalibration,
    save_recalibration,
)
from utils.evaluation.report_schema import EvaluationReport
from utils.evaluation.scored_images import Evaluation
from utils.evaluation.strata import tables
from utils.inference.engines.engine import load_engine
from utils.inference.predictor import load_predictor
from utils.model.bundle import read_bundle, read_manifest
from utils.model.calibration import Calibration
from utils.report.tables import Table, tables_of

pytestmark = pytest.mark.slow

# Calibration and threshold are both fitted anew.
BOTH = {"recalibrate": True, "sensitivity": 0.8, "seed": 0}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tuple[Path, Evaluation, PreparedImages]:
    """A model, its evaluation on drawn foreign bones with overconfident answers, and the images."""
    folder = tmp_path_factory.mktemp("local")
    dataset = read_dataset(fracatlas_tree(folder / "data", per_class=60))
    model = tiny_bundle(folder, threshold=0.6, doubt=(0.5, 0.7))
    prepared = prepare_images(dataset.samples, 64, folder / "cache")
    found = evaluate(load_engine(model), dataset, prepared, part="all", resamples=30)
    rng = np.random.default_rng(0)
    truth = found.scored.labels
    logit = (4.0 * (rng.normal(0.0, 1.0, truth.size) + 1.2 * truth)).astype(np.float32)
    return model, answering(found, logit), prepared


def answering(found: Evaluation, logit: np.ndarray) -> Evaluation:
    """The same evaluation with other answers, their figures computed as ever."""
    probability = np.asarray(found.bundle.calibration.probability(logit))
    scored = replace(found.scored, logit=logit, probability=probability)
    figures = tables(scored, found.bundle, resamples=30, seed=0)
    return replace(found, scored=scored, report=found.report.model_copy(update=dict(figures)))


@cache
def both(evaluation: Evaluation, **changes: Any) -> Recalibration:
    """Slope, intercept and threshold fitted anew, once for the tests that share them."""
    return fit_recalibration(evaluation, **{**BOTH, **changes})


def content(model: Path) -> list[str]:
    files = [model.with_suffix(suffix) for suffix in (".h5", ".json", ".seen.json")]
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def test_no_group_is_in_both_parts(world):
    _, evaluation, _ = world
    scored = evaluation.scored
    pairs = replace(
        evaluation, scored=replace(scored, groups=tuple(str(row // 2) for row in range(120)))
    )
    local = both(pairs)
    rest, fitting = local.evaluation.scored, local.fitting
    assert not set(rest.groups) & set(fitting.groups)
    ids = {sample.id for sample in (*rest.samples, *fitting.samples)}
    assert len(rest.samples) + len(fitting.samples) == len(ids) == 120
    record = local.evaluation.report.recalibration
    assert record.fitting.n == len(fitting.samples)
    assert record.rest == local.evaluation.report.images.counts
    assert 0.3 < record.fitting.groups / 60 < 0.7


def test_the_seed_determines_the_division(world):
    _, evaluation, _ = world
    parts = [fit_recalibration(evaluation, **{**BOTH, "seed": seed}) for seed in (0, 0, 1)]
    sides = [tuple(sample.id for sample in part.fitting.samples) for part in parts]
    assert sides[0] == sides[1] != sides[2]


def test_the_fit_agrees_with_scikit_learn(world):
    _, evaluation, _ = world
    local = both(evaluation, sensitivity=None)
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=5000).fit(
        local.fitting.logit[:, None].astype(float), local.fitting.labels
    )
    after = local.evaluation.report.recalibration.after
    assert after.slope == pytest.approx(fitted.coef_[0, 0], rel=1e-3)
    assert after.intercept == pytest.approx(fitted.intercept_[0], rel=1e-3, abs=1e-3)


def test_overconfidence_is_corrected_on_the_rest(world):
    _, evaluation, _ = world
    report = both(evaluation, sensitivity=None).evaluation.report
    before, after = report.recalibration.figures_before, report.images.figures
    assert before.calibration_slope.value < 0.75
    assert abs(after.calibration_slope.value - 1) < abs(before.calibration_slope.value - 1)
    assert after.brier.value < before.brier.value
    assert after.roc_auc.value == pytest.approx(before.roc_auc.value)


def overconfident_where_it_is_reported(world, sides: tuple[str, ...]) -> Any:
    """Recalibrate answers whose logits are five times too large on some sides of the division alone."""
    _, evaluation, _ = world
    rng = np.random.default_rng(1)
    truth = evaluation.scored.labels
    # Two normals of deviation 1 that lie 2 apart: the logit is twice the number.
    logit = 2.0 * (rng.normal(0.0, 1.0, truth.size) + 2.0 * truth - 1.0)
    parts = [part_of(f"local:{group}", 0, SHARES) for group in evaluation.scored.groups]
    logit[np.isin(parts, sides)] *= 5.0
    return both(answering(evaluation, logit.astype(np.float32)), sensitivity=None)


def test_degraded_figures_are_reported(world):
    report = overconfident_where_it_is_reported(world, (FITTING,)).evaluation.report
    record, after = report.recalibration, report.images.figures
    before = record.figures_before
    assert record.worse == ("calibration_slope", "brier", "calibration_error")
    assert after.calibration_slope.value > 2 > before.calibration_slope.value
    assert after.brier.value > before.brier.value
    assert after.calibration_error.value > before.calibration_error.value
    message = degradation_message(report)
    numbers = (after.brier.value, before.brier.value)
    assert "Brier score {:.4f}, {:.4f} before".format(*numbers) in message
    (table,) = (t for t in tables_of_report(world, report) if "fitted here" in t.title)
    assert table.note.endswith(message)


def test_improved_figures_are_not_reported_as_worse(world):
    report = overconfident_where_it_is_reported(world, (FITTING, REST)).evaluation.report
    assert report.recalibration.worse == ()
    assert degradation_message(report) == ""
    # Neither is one that leaves the probabilities as they are.
    _, evaluation, _ = world
    report = both(evaluation, recalibrate=False).evaluation.report
    assert report.recalibration.worse == ()


def tables_of_report(world, report: EvaluationReport) -> list[Table]:
    _, evaluation, _ = world
    return list(tables_of(replace(evaluation, report=report)))


def test_recalibration_alone_changes_no_answer(world):
    _, evaluation, _ = world
    local = both(evaluation, sensitivity=None)
    bundle, scored = local.evaluation.bundle, local.evaluation.scored
    old = np.asarray(local.original.calibration.probability(scored.logit))
    assert ((scored.probability >= bundle.threshold) == (old >= 0.6)).all()
    assert ((scored.probability >= bundle.doubt[0]) == (old >= 0.5)).all()
    assert bundle.threshold != 0.6
    assert "moved with a later calibration" in bundle.chosen_by


def test_no_moved_fracture_below_0_5_is_definite(world):
    """A probability of 0.7 is one below 0.5 here."""
    _, evaluation, _ = world
    local = both(evaluation, sensitivity=None)
    calibration = local.evaluation.bundle.calibration
    assert calibration.probability(local.original.calibration.logit(0.7)) < 0.5
    assert local.evaluation.bundle.doubt[1] == 0.5


def test_a_local_decision_keeps_both_points(world):
    _, evaluation, _ = world
    local = both(evaluation, sensitivity=0.8)
    fitting, (sensitive, specific) = local.fitting, local.evaluation.bundle.doubt
    found, negative = fitting.probability[fitting.labels == 1], fitting.labels == 0
    assert (found >= sensitive).mean() >= 0.95
    assert (fitting.probability[negative] < specific).mean() >= 0.95


def test_a_local_decision_keeps_what_is_of_parts(world):
    _, evaluation, _ = world
    sidecar, lines = evaluation.bundle.sidecar, {"": Calibration(2.0, 0.0)}
    changes = {"untested_regions": ("hip",), "region_calibrations": lines}
    decision = sidecar.decision.model_copy(update=changes)
    untested = replace(evaluation.bundle, sidecar=sidecar.model_copy(update={"decision": decision}))
    local = both(replace(evaluation, bundle=untested))
    assert local.evaluation.bundle.untested_regions == ("hip",)
    assert local.evaluation.bundle.sidecar.decision.region_calibrations == lines


def test_a_local_threshold_keeps_its_sensitivity(world):
    _, evaluation, _ = world
    local = both(evaluation, recalibrate=False, sensitivity=0.95)
    fitting, bundle = local.fitting, local.evaluation.bundle
    called = fitting.probability >= bundle.threshold
    assert sk.recall_score(fitting.labels, called) >= 0.95
    # One positive fewer would be too few: no higher threshold keeps it.
    positives = int(fitting.labels.sum())
    assert (called & (fitting.labels == 1)).sum() == int(np.ceil(0.95 * positives))
    assert bundle.calibration == local.original.calibration
    assert "on the fitting part" in bundle.chosen_by


def test_figures_are_of_the_rest_alone(world):
    _, evaluation, _ = world
    local = both(evaluation)
    scored, report = local.evaluation.scored, local.evaluation.report
    called = scored.probability >= local.evaluation.bundle.threshold
    figures = report.images.figures
    assert figures.sensitivity.value == pytest.approx(sk.recall_score(scored.labels, called))
    old = np.asarray(local.original.calibration.probability(scored.logit))
    before = report.recalibration.figures_before
    assert before.brier.value == pytest.approx(sk.brier_score_loss(scored.labels, old))
    assert report.model.threshold == local.evaluation.bundle.threshold
    assert report.to_json()


def test_evaluation_and_model_stay_unchanged(world):
    model, evaluation, _ = world
    files, report = content(model), evaluation.report.to_json()
    fit_recalibration(evaluation, **BOTH)
    assert content(model) == files
    assert evaluation.report.to_json() == report
    assert evaluation.bundle.threshold == 0.6


@pytest.fixture(scope="module")
def saved(world, tmp_path_factory) -> tuple[Any, Path]:
    model, evaluation, prepared = world
    before = content(model)
    path = tmp_path_factory.mktemp("saved") / "new" / "ours.h5"
    local = both(evaluation)
    save_recalibration(local, prepared, path)
    assert content(model) == before
    return local, path


def test_a_saved_bundle_answers_with_its_decision(world, saved):
    model, _, _ = world
    local, path = saved
    picture = encode(draw_radiograph(300, 220))
    old, new = (load_predictor(file).predict(picture) for file in (model, path))
    assert new.logit == old.logit
    assert new.sha256 == old.sha256
    calibration = local.evaluation.bundle.calibration
    expected = 1 / (1 + np.exp(-(calibration.slope * new.logit + calibration.intercept)))
    assert new.probability == pytest.approx(expected)
    assert new.threshold == local.evaluation.bundle.threshold != old.threshold


def test_the_sidecar_records_the_fitting_data(saved):
    local, path = saved
    bundle = read_bundle(path)
    record = bundle.training["local"]
    assert record["name"] == "fracatlas"
    assert record["part"] == "all"
    assert record["fitting"]["n"] == len(local.fitting.samples)
    assert record["fitting"]["positive"] == int(local.fitting.labels.sum())
    assert record["before"]["threshold"] == 0.6
    assert bundle.training["dataset"] == "drawn"
    test = bundle.metrics["test"]
    assert test["roc_auc"] == local.evaluation.report.images.figures.roc_auc.model_dump()
    assert test["localisation"]["n"] == sum(bool(s.boxes) for s in local.evaluation.scored.samples)


def test_fitting_images_are_left_out_later(world, saved):
    _, evaluation, prepared = world
    local, path = saved
    engine = load_engine(path)
    again = evaluate(engine, evaluation.dataset, prepared, part="all", resamples=0)
    assert [s.id for s in again.scored.samples] == [s.id for s in local.evaluation.scored.samples]
    assert again.report.left_out.training_images == len(local.fitting.samples)
    # It was not trained on them: no split of its training divides these data.
    assert again.report.dataset.trained_on_these_data is False


def test_a_second_recalibration_keeps_the_first(world, saved, tmp_path):
    _, evaluation, prepared = world
    local, path = saved
    again = evaluate(load_engine(path), evaluation.dataset, prepared, part="all", resamples=0)
    rng = np.random.default_rng(0)
    logit = rng.normal(2.0 * again.scored.labels, 1.5).astype(np.float32)
    with pytest.raises(DatasetError, match="another --seed"):
        both(answering(again, logit))
    further = both(answering(again, logit), seed=1)
    save_recalibration(further, prepared, tmp_path / "twice.h5")
    manifest = read_manifest(read_bundle(tmp_path / "twice.h5"))
    assert len(manifest.sha256) == 0
    assert len(manifest.local.sha256) == len(local.fitting.samples) + len(further.fitting.samples)


def test_too_few_images_are_refused_with_counts(world):
    _, evaluation, _ = world
    positive = np.flatnonzero(evaluation.scored.labels == 1)[:15]
    negative = np.flatnonzero(evaluation.scored.labels == 0)
    for rows, group, message in (
        ([*positive, *negative], None, "75 images in 75 groups"),
        (negative, None, "0 positive"),
        (range(120), "one", "120 images in 1 groups"),
    ):
        scored = evaluation.scored.take(list(rows))
        if group:
            scored = replace(scored, groups=(group,) * len(scored.samples))
        with pytest.raises(DatasetError, match=f"at least 10 images of each class.*{message}"):
            both(replace(evaluation, scored=scored))


def test_an_unusable_target_is_refused_early(world, tmp_path):
    model, _, _ = world
    check_target(tmp_path / "ours.h5", model)
    with pytest.raises(InputError, match=r"ends in \.h5"):
        check_target(tmp_path / "ours.json", model)
    with pytest.raises(InputError, match="stays as it is"):
        check_target(model.parent / "." / model.name, model)
