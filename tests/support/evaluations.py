"""An evaluation of drawn bones, and the same one with other answers or another training record."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.support.bundles import tiny_bundle
from tests.support.trees import fracatlas_tree
from train import parser
from utils.datasets.duplicates import DuplicateCounts
from utils.datasets.image_cache import FileFacts, prepare_images
from utils.datasets.readers import read_dataset
from utils.datasets.split import PartCounts
from utils.datasets.training_set import PartUse, TrainingSetReport
from utils.evaluation.evaluate import evaluate
from utils.evaluation.scored_images import Evaluation
from utils.evaluation.strata import tables
from utils.imaging.brightness import Brightness
from utils.imaging.geometry import Rectangle
from utils.inference.engines.engine import load_engine
from utils.training.config import config_of

DOUBT = (0.45, 0.55)
USUAL = Brightness(low=0.0, high=0.9, levels=200, black=0.1, white=0.0)


def facts_of(height: int, width: int, *, truncated: bool = False) -> FileFacts:
    """Facts of a picture of usual brightness without a border."""
    crop = Rectangle(0, 0, height, width)
    return FileFacts("0" * 64, height, width, truncated, crop, USUAL)


def training_args(*flags: str) -> dict[str, Any]:
    """The arguments that a sidecar records of a training with these flags."""
    return asdict(config_of(parser().parse_args(flags)))


COUNTS = TrainingSetReport(
    seed=0,
    fractions={"train": 1.0},
    prescribed=[],
    parts={"train": PartCounts(positive=9, negative=31, groups=29)},
    used={"train": PartUse(images=31, positive=7)},
    dropped={"the same picture stands in both classes": 5},
    truncated_left_out=4,
    unreadable=0,
    largest_group=1,
    duplicates=DuplicateCounts(
        verified_pairs=0, mirrored_pairs=0, groups=0, images_in_groups=0, largest_group=1, sizes={}
    ),
)
ARGS = training_args("--model", "custom", "--epochs", "3", "--no_augmentation")


def drawn_evaluation(folder: Path, *, per_class: int = 40) -> Evaluation:
    """Evaluate drawn bones by an untrained network, with logits drawn so that all outcomes occur."""
    dataset = read_dataset(fracatlas_tree(folder / "data", per_class=per_class, size=(280, 220)))
    engine = load_engine(tiny_bundle(folder, doubt=DOUBT))
    prepared = prepare_images(dataset.samples, 64, folder / "cache")
    found = evaluate(engine, dataset, prepared, part="all", resamples=30)
    found = with_training(
        found,
        dataset="fracatlas",
        args=ARGS,
        minutes=12.3,
        commit="abc1234",
        counts=COUNTS.model_dump(),
    )
    logit = np.random.default_rng(0).normal(1.8 * found.scored.labels - 0.9, 1.2)
    return with_answers(found, logit=logit.astype(np.float32))


def with_answers(evaluation: Evaluation, *, resamples: int = 30, **changes: Any) -> Evaluation:
    """The same evaluation with other fields of its scored images, and the tables computed of them."""
    if "logit" in changes:
        probability = evaluation.bundle.calibration.probability(changes["logit"])
        changes.setdefault("probability", np.asarray(probability))
    scored = replace(evaluation.scored, **changes)
    found = tables(scored, evaluation.bundle, resamples=resamples, seed=0, prevalences=(0.03, 0.25))
    return replace(
        evaluation, scored=scored, report=evaluation.report.model_copy(update=dict(found))
    )


def with_report(evaluation: Evaluation, **changes: Any) -> Evaluation:
    """The same evaluation with other fields of its report."""
    return replace(evaluation, report=evaluation.report.model_copy(update=changes))


def with_training(evaluation: Evaluation, **training: Any) -> Evaluation:
    """The same evaluation of a bundle whose sidecar records this of its training as well."""
    everything = {**evaluation.bundle.training, **training}
    return with_sidecar(evaluation, training=everything)


def with_sidecar(evaluation: Evaluation, **changes: Any) -> Evaluation:
    """The same evaluation of a bundle with other sections in its sidecar."""
    sidecar = evaluation.bundle.sidecar.model_copy(update=changes)
    return replace(evaluation, bundle=replace(evaluation.bundle, sidecar=sidecar))
