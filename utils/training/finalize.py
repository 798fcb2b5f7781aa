"""Turns a plan and a corpus into a bundle: trained, calibrated, decided, scored.

Written against Keras alone, as are the modules it uses, so that it runs on the tensorflow, jax and torch
backends.
"""

from __future__ import annotations

import logging
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from utils.datasets.duplicates import fingerprints
from utils.datasets.split import FRACTIONS
from utils.datasets.training_set import TrainingSet
from utils.evaluation.localisation import localisation_on
from utils.evaluation.metrics import summarise
from utils.gradcam import EMBEDDING, MAP, Outputs, explain
from utils.imaging.geometry import placement
from utils.model.bundle import Bundle, read_manifest
from utils.model.bundle_writer import save_bundle
from utils.model.calibration import fit_calibration
from utils.model.manifest import TrainingManifest
from utils.model.ood import OODDetector, fit_ood_detector
from utils.model.operating_point import choose_operating_point
from utils.model.self_test import self_test_input
from utils.model.sidecar import Decision, Labels
from utils.model_builder import LOGIT
from utils.preprocess import scale
from utils.training.config import TrainingConfig
from utils.training.leakage import merge_manifests
from utils.training.ood_samples import draw_ood_sample, invert, vary
from utils.training.trainer import Trainer
from utils.training.validation import run_network

# Radiographs of the train part that familiarity is learned from, at most; pictures that are none.
MOST_FAMILIAR, STRANGERS = 4000, 1000

log = logging.getLogger(__name__)


def train(
    config: TrainingConfig,
    data: TrainingSet,
    run: Path,
    output: Path,
    *,
    deadline: float = math.inf,
    resume: bool = False,
    progress: bool = False,
    commit: str = "",
    note: str = "",
) -> dict[str, Any]:
    """Train, calibrate, choose the threshold, save the bundle and score its test part.

    Args:
        config: how.
        data: on what.
        run: folder of checkpoints, logs and curves.
        output: the ``.h5`` file to write.
        deadline: stop in time to be done by then, in seconds of ``time.monotonic``; what is best so far is
            saved.
        resume: go on from the last checkpoint in ``run``.
        progress: show a bar an epoch on stderr.
        commit: the code's version, for the sidecar.
        note: what a reader must know of how the bundle was decided, for the sidecar.

    Returns:
        What the command line reports: the outcome and the figures, JSON-able.

    Raises:
        SetupError: nothing to resume, another plan's checkpoint, weights that do not fit, or not one
            epoch done before the time was up.
        KeyboardInterrupt: interrupted before the first epoch was done.
    """
    keras.utils.set_random_seed(config.seed)
    trainer = Trainer(config, data, run, progress=progress, commit=commit)
    if resume:
        trainer.resume()
    else:
        trainer.start()
    outcome = trainer.fit(deadline, pictures_afterwards(data))
    bundle = finish(trainer, output, outcome=outcome, commit=commit, note=note)
    return {
        "outcome": outcome,
        "model": str(output),
        "sha256": bundle.sha256,
        "run": str(run),
        "epochs": len(trainer.history),
        "counts": data.report.model_dump()["used"],
        "metrics": bundle.metrics,
    }


def pictures_afterwards(data: TrainingSet) -> int:
    """Return how many pictures ``finish`` shows to the network, or a few more."""
    parts = {part: len(rows) for part, rows in data.rows.items()}
    familiar = min(parts["train"], MOST_FAMILIAR)
    return parts["validation"] + parts["test"] + 3 * familiar + STRANGERS


def finish(trainer: Trainer, output: Path, *, outcome: str, commit: str, note: str) -> Bundle:
    """Turn a trainer's best weights into a bundle: calibrated, decided, scored."""
    config, data, origin = trainer.config, trainer.data, trainer.folder.origin
    network = trainer.best_network()
    explained = explain(network)
    rows = data.rows["validation"]
    labels = data.labels[rows]
    outputs = Outputs.of(run_network(explained, config.spec, data.prepared.images, rows))
    calibration = fit_calibration(outputs.logit, labels)
    probabilities = calibration.probability(outputs.logit)
    point = choose_operating_point(probabilities, labels, sensitivity=config.sensitivity)

    def figures(part: str, logits: np.ndarray) -> dict[str, Any]:
        chosen = data.rows[part]
        return summarise(
            data.labels[chosen],
            calibration.probability(logits),
            [data.groups[row] for row in chosen],
            point.threshold,
        ).model_dump()

    metrics = {"validation": figures("validation", outputs.logit)}
    if len(data.rows["test"]):
        tested = run_network(explained, config.spec, data.prepared.images, data.rows["test"])
        metrics["test"] = figures("test", tested[LOGIT])
        measured = localisation_on(data, "test", tested[MAP], config)
        metrics["test"]["localisation"] = measured and measured.model_dump()
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
        decision=Decision(
            calibration=calibration,
            threshold=point.threshold,
            chosen_by=point.chosen_by,
            doubt=point.doubt,
        ),
        scale_top=scale_top(outputs, labels),
        self_test=Outputs.of(self_test),
        training={
            "dataset": data.dataset.name,
            "attribution": data.dataset.attribution,
            "regions": list(data.dataset.regions),
            "counts": data.report.model_dump(),
            "split": {"seed": data.report.seed, "fractions": list(FRACTIONS)},
            "seed": config.seed,
            # The file's name alone: where it lay on one machine helps nobody else.
            "args": {
                **asdict(config),
                "weights": Path(config.weights).name,
                "teacher": config.teacher and Path(config.teacher).name,
                "region": list(data.chosen_regions),
            },
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
        ood_detector=ood_detector,
    )


def learn_ood_detector(
    explained: keras.Model, config: TrainingConfig, data: TrainingSet, checked: np.ndarray
) -> OODDetector:
    """Learn what the training radiographs look like to a network, and what strangers do.

    Args:
        explained: the network with its embedding.
        config: whose seed decides what is drawn.
        data: whose train part is familiar.
        checked: embeddings of its validation part.
    """
    random = np.random.default_rng(config.seed)
    prepared = data.prepared
    rows = data.rows["train"]
    if len(rows) > MOST_FAMILIAR:
        rows = np.sort(random.choice(rows, MOST_FAMILIAR, replace=False))

    strangers = min(STRANGERS, len(rows))

    def embed(pictures: list[np.ndarray]) -> np.ndarray:
        everything = np.arange(len(pictures))
        return run_network(explained, config.spec, np.stack(pictures), everything)[EMBEDDING]

    def inverted(row: int) -> np.ndarray:
        crop = prepared.files[row].crop
        return invert(prepared.images[row], placement(crop.height, crop.width, config.image_size))

    shown = [prepared.images[row] for row in rows]
    return fit_ood_detector(
        training=embed([*shown, *(vary(picture, random) for picture in shown)]),
        validation=checked,
        ood_samples=embed([draw_ood_sample(config.image_size, random) for _ in range(strangers)]),
        inverted=embed([inverted(row) for row in rows[::2]]),
    )


def scale_top(outputs: Outputs, labels: np.ndarray) -> float:
    """Return the top of the map's colour scale: what nine in ten positive validation maps stay under."""
    peaks = outputs.map[labels == 1].max(axis=(1, 2))
    return float(max(np.percentile(peaks, 90), 1e-3))
