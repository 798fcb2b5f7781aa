"""Cross-validation: each radiograph scored by a network that was trained without its group."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from utils.datasets.folds import assign_folds, fold_training_set
from utils.datasets.training_set import TrainingSet
from utils.errors import InputError, SetupError
from utils.gradcam import Outputs, explain
from utils.model_builder import map_offset
from utils.training.batches import run_network
from utils.training.checkpoints import RunFolder, run_identity
from utils.training.config import LAST, TrainingConfig
from utils.training.decision.out_of_fold import (
    TABLE,
    MapPeak,
    OutOfFold,
    OutOfFoldImage,
    read_images,
    table_identity,
    write_images,
    write_table,
)
from utils.training.epochs.schedule import FOLLOWS_SCORES
from utils.training.leakage import parent_bundles
from utils.training.trainer import COMPLETED, Trainer

# Scores of the part that a finished fold held out, in the fold's folder.
HELD_OUT = "held_out.csv"

# Locates the peaks of maps: training set, its rows, maps float32 (n, h, w), centre offset of the maps.
LocatePeaks = Callable[[TrainingSet, np.ndarray, np.ndarray, float], Sequence[MapPeak]]

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Outcome of a cross-validation.

    Args:
        outcome: of the last run, see ``Trainer.fit``.
        finished: number of folds that were scored.
        table: None until all of them are.
    """

    outcome: str
    finished: int
    table: OutOfFold | None


def cross_validate(
    config: TrainingConfig,
    data: TrainingSet,
    run: Path,
    *,
    folds: int,
    locate_peaks: LocatePeaks,
    deadline: float = math.inf,
    resume: bool = False,
    progress: bool = False,
    commit: str = "",
) -> CrossValidation:
    """Train once for each fold of train and validation part, and score what that fold holds out.

    All runs have the settings of a usual one, but keep the last epoch: the fold that is held out chooses
    neither the epoch nor when to stop. The test part takes no part.

    Args:
        config: the settings; ``keep`` becomes "last".
        data: split as usual.
        run: the folder; each fold has a run's folder in it.
        folds: number of folds.
        locate_peaks: locates the peaks of the maps, see ``evaluation.training_figures``.
        deadline, resume, progress, commit: see ``finalize.train``; a finished fold is not repeated.

    Raises:
        InputError: a schedule that follows the validation scores, or too few groups for the folds.
        SetupError: see ``finalize.train``.
    """
    if config.schedule in FOLLOWS_SCORES:
        raise InputError("training.folds_schedule", schedule=config.schedule)
    config = replace(config, keep=LAST)
    assigned, parents = assign_folds(data, folds), parent_bundles(config)
    folders = [RunFolder(run / f"fold-{fold}", commit) for fold in range(1, folds + 1)]
    if not resume:
        (run / TABLE).unlink(missing_ok=True)
        for folder in folders:
            (folder.path / HELD_OUT).unlink(missing_ok=True)
            folder.clear()
    images: list[OutOfFoldImage] = []
    trained = False
    for fold, folder in enumerate(folders, 1):
        part = fold_training_set(data, assigned, fold)
        scores = folder.path / HELD_OUT
        if scores.is_file():
            folder.read(run_identity(config, part, parents))
        else:
            log.info("fold %d of %d", fold, folds)
            keras.utils.clear_session()
            keras.utils.set_random_seed(config.seed)
            trainer = Trainer(config, part, folder.path, progress=progress, commit=commit)
            if resume and (fold == 1 or folder.begun):
                trainer.resume()
            else:
                trainer.start()
            held_out = len(part.rows["test"])
            outcome = trainer.fit(deadline, held_out, needs_epoch=not trained)
            if outcome != COMPLETED:
                return CrossValidation(outcome, fold - 1, None)
            write_images(scores, _score(trainer, fold, locate_peaks))
            folders[fold - 1], trained = trainer.folder, True
        images += _held_out_images(scores, part)
    origin = folders[0].origin
    identity = table_identity(config, data, parents, origin.weights_sha256)
    commits = tuple(dict.fromkeys(own for folder in folders for own in folder.origin.commits))
    table = write_table(run, images, folds=folds, identity=identity, commits=commits)
    return CrossValidation(COMPLETED, folds, table)


def _held_out_images(path: Path, data: TrainingSet) -> tuple[OutOfFoldImage, ...]:
    """Read the scores of a finished fold; they must be of the radiographs that it holds out now."""
    images = read_images(path)
    samples = data.prepared.samples
    if {image.path for image in images} != {samples[row].id for row in data.rows["test"]}:
        raise SetupError("training.other_fold", path=path)
    return images


def _score(trainer: Trainer, fold: int, locate_peaks: LocatePeaks) -> list[OutOfFoldImage]:
    """Score the part that a finished fold held out."""
    config, data = trainer.config, trainer.data
    rows = data.rows["test"]
    explained = explain(trainer.best_network())
    outputs = Outputs.of(run_network(explained, config.spec, data.prepared.images, rows))
    offset = map_offset(config.architecture, config.detail) / config.image_size
    peaks = locate_peaks(data, rows, outputs.map, offset)
    regions = outputs.predicted_regions(trainer.regions)
    return [
        OutOfFoldImage(
            path=data.prepared.samples[row].id,
            group=data.groups[row],
            fold=fold,
            label=int(data.labels[row]),
            region=data.prepared.samples[row].region or "",
            predicted_region=region,
            logit=float(logit),
            hit=peak.hit,
            peak_x=peak.x,
            peak_y=peak.y,
        )
        for row, logit, region, peak in zip(rows, outputs.logit, regions, peaks, strict=True)
    ]
