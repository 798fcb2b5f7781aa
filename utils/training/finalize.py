"""Training from start to end: the trainer, calibration, operating point, OOD detector, bundle."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from utils.datasets.duplicates import fingerprints
from utils.datasets.split import FRACTIONS
from utils.datasets.training_set import TrainingSet
from utils.gradcam import Outputs, explain
from utils.model.bundle import Bundle, read_manifest
from utils.model.bundle_writer import save_bundle
from utils.model.manifest import TrainingManifest
from utils.model.self_test import self_test_input
from utils.model.sidecar import Labels
from utils.model_builder import map_offset
from utils.preprocess import scale
from utils.training.batches import run_network
from utils.training.config import TrainingConfig
from utils.training.decision.box_scores import decide_boxes
from utils.training.decision.decide import DecisionScores, decide, untested_regions
from utils.training.decision.out_of_fold import PART as OUT_OF_FOLD
from utils.training.decision.out_of_fold import OutOfFold, table_identity
from utils.training.leakage import merge_manifests
from utils.training.ood.learning import images_learned, learn_ood_detector
from utils.training.trainer import Trainer


@dataclass(frozen=True, eq=False)
class PartAnswers:
    """The answers of a finished network to one part of its training set.

    Args:
        data: the training set.
        part: "validation", "test", or "out_of_fold" for the images of a cross-validation.
        probabilities: calibrated, (n,), in the order of the part's rows.
        threshold: of the decision.
        maps: signed activation maps, float32 (n, h, w) in logits; None where they are not measured.
        map_offset: receptive-field centre offset of the maps, as a share of the input.
    """

    data: TrainingSet
    part: str
    probabilities: np.ndarray
    threshold: float
    maps: np.ndarray | None
    map_offset: float


ScorePart = Callable[[PartAnswers], dict[str, Any]]


def train(
    config: TrainingConfig,
    data: TrainingSet,
    run: Path,
    output: Path,
    *,
    score_part: ScorePart,
    deadline: float = math.inf,
    resume: bool = False,
    progress: bool = False,
    commit: str = "",
    note: str = "",
    out_of_fold: OutOfFold | None = None,
) -> dict[str, Any]:
    """Train, calibrate, choose the threshold, save the bundle and score its test part.

    Args:
        config: the settings.
        data: the training set.
        run: folder of checkpoints, logs and curves.
        output: the ``.h5`` file to write.
        score_part: computes the figures of a part for the sidecar, see ``evaluation.training_figures``.
        deadline: in seconds of ``time.monotonic``; the best epoch so far is saved by then.
        resume: continue from the last checkpoint in ``run``.
        progress: show a bar an epoch on stderr.
        commit: version of the code, for the sidecar.
        note: on how the bundle was decided, for the sidecar.
        out_of_fold: predictions to fit the decision on instead of the validation part.

    Returns:
        The outcome and the figures, JSON-able.

    Raises:
        InputError: the out-of-fold predictions are of other data or settings.
        SetupError: nothing to resume, a checkpoint of other settings, weights that do not fit, or not one
            epoch finished in time.
        KeyboardInterrupt: interrupted before the first epoch was done.
    """
    keras.utils.set_random_seed(config.seed)
    trainer = Trainer(config, data, run, progress=progress, commit=commit)
    if resume:
        trainer.resume()
    else:
        trainer.start()
    if out_of_fold:
        origin = trainer.folder.origin
        out_of_fold.check(
            table_identity(config, data, trainer.parent_bundles, origin.weights_sha256)
        )
    outcome = trainer.fit(deadline, images_afterwards(data))
    bundle = finish(
        trainer,
        output,
        score_part=score_part,
        outcome=outcome,
        commit=commit,
        note=note,
        out_of_fold=out_of_fold,
    )
    return {
        "outcome": outcome,
        "model": str(output),
        "sha256": bundle.sha256,
        "run": str(run),
        "epochs": len(trainer.history),
        "counts": data.report.model_dump()["used"],
        "metrics": bundle.metrics,
    }


def images_afterwards(data: TrainingSet) -> int:
    """Return an upper bound of the images that ``finish`` runs through the network."""
    parts = {part: len(rows) for part, rows in data.rows.items()}
    return parts["validation"] + parts["test"] + images_learned(parts["train"])


def finish(
    trainer: Trainer,
    output: Path,
    *,
    score_part: ScorePart,
    outcome: str,
    commit: str,
    note: str,
    out_of_fold: OutOfFold | None = None,
) -> Bundle:
    """Calibrate, decide and score the best weights of a trainer, and save the bundle.

    The decision is fitted on the out-of-fold predictions, where they are given, instead of on the validation
    part, as scikit-learn's ``CalibratedClassifierCV(ensemble=False)`` does.
    """
    config, data, origin = trainer.config, trainer.data, trainer.folder.origin
    network = trainer.best_network()
    explained = explain(network)
    rows = data.rows["validation"]
    labels = data.labels[rows]
    outputs = Outputs.of(run_network(explained, config.spec, data.prepared.images, rows))
    validation = DecisionScores.of(outputs, labels, trainer.regions)
    boxes = decide_boxes(outputs, data, trainer.map_offset)
    scores = out_of_fold.scores if out_of_fold else validation
    decision = decide(scores, config, untested_regions(data, trainer.regions))

    def figures(
        part: str, scores: DecisionScores, maps: np.ndarray | None = None
    ) -> dict[str, Any]:
        offset = map_offset(config.architecture, config.detail) / config.image_size
        probabilities = decision.probabilities(scores.logits, scores.regions)
        return score_part(PartAnswers(data, part, probabilities, decision.threshold, maps, offset))

    metrics = {"validation": figures("validation", validation)}
    if out_of_fold:
        data = out_of_fold.as_part(data)
        metrics[OUT_OF_FOLD] = figures(OUT_OF_FOLD, out_of_fold.scores)
    if len(rows := data.rows["test"]):
        tested = Outputs.of(run_network(explained, config.spec, data.prepared.images, rows))
        scores = DecisionScores.of(tested, data.labels[rows], trainer.regions)
        metrics["test"] = figures("test", scores, tested.map)
    used = np.concatenate([data.rows["train"], data.rows["validation"]])
    ood_detector = learn_ood_detector(explained, config, data, outputs.embedding)
    self_test = explained.predict_on_batch(
        scale(self_test_input(config.image_size), config.spec.scaling)
    )
    return save_bundle(
        output,
        network,
        spec=config.spec,
        regions=trainer.regions,
        labels=Labels(meaning=data.dataset.meaning),
        decision=decision,
        scale_top=scale_top(outputs, labels),
        self_test=Outputs.of(self_test),
        training={
            "dataset": data.dataset.name,
            "attribution": data.dataset.attribution,
            "regions": list(data.dataset.regions),
            "counts": data.report.model_dump(),
            "split": {"seed": data.report.seed, "fractions": list(FRACTIONS)},
            "seed": config.seed,
            # File names alone: paths of one machine mean nothing elsewhere.
            "args": {
                **asdict(config),
                "weights": Path(config.weights).name,
                "teacher": config.teacher and Path(config.teacher).name,
                "region": list(data.chosen_regions),
                "decide_from": out_of_fold and out_of_fold.path.name,
            },
            "out_of_fold": out_of_fold and out_of_fold.summary,
            "built_on": [bundle.sha256 for bundle in trainer.parent_bundles],
            "outcome": outcome,
            "epochs": len(trainer.history),
            "minutes": round(sum(row.seconds for row in trainer.history) / 60, 1),
            "weights_sha256": origin.weights_sha256,
            "commit": ", ".join(origin.commits) or commit,
            "finished_commit": commit,
            "note": note,
        },
        metrics=metrics,
        manifest=merge_manifests(
            [
                TrainingManifest(
                    frozenset(data.prepared.files[row].key for row in used),
                    fingerprints(data.prepared.thumbnails[used]),
                ),
                *map(read_manifest, trainer.parent_bundles),
            ]
        ),
        boxes=boxes,
        ood_detector=ood_detector,
    )


def scale_top(outputs: Outputs, labels: np.ndarray) -> float:
    """Return the top of the map's colour scale: the 90th percentile of the positives' maxima."""
    peaks = outputs.map[labels == 1].max(axis=(1, 2))
    return float(max(np.percentile(peaks, 90), 1e-3))
