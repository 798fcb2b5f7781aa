"""Train a fracture detector on MURA, FracAtlas or a folder of images, and save it as a bundle."""

from __future__ import annotations

import json
import math
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from utils.cli import DONE, INTERRUPTED, Parser, number, run, whole_number
from utils.datasets.readers import AUTO, READERS
from utils.datasets.training_set import TrainingSet, read_training_set
from utils.errors import InputError
from utils.training.config import TrainingConfig, add_flags, config_of
from utils.training.decision.out_of_fold import read_table
from utils.training.leakage import check_paths


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the flags, train, and print the outcome as one line of JSON."""
    flags = parser().parse_args(arguments)
    deadline = time.monotonic() + 60 * (flags.max_minutes or math.inf)
    config = config_of(flags)
    if flags.folds and flags.decide_from:
        raise InputError("training.folds_and_decide_from")
    table = read_table(flags.decide_from) if flags.decide_from else None
    if flags.dataset != AUTO:
        READERS[flags.dataset]
    check_paths(config, flags.output, resume=flags.resume)
    data = read_training_set(
        flags.data,
        dataset=flags.dataset,
        regions=flags.region,
        size=config.image_size,
        seed=config.split_seed,
        cache=flags.cache or flags.run / "cache",
        progress=not flags.quiet,
    )
    if flags.backend:
        os.environ["KERAS_BACKEND"] = flags.backend
    # Imported late: Keras takes seconds, and a wrong flag is reported at once.
    from utils.evaluation import training_figures
    from utils.training import finalize, trainer

    running: dict[str, Any] = {
        "deadline": deadline,
        "resume": flags.resume,
        "progress": not flags.quiet,
        "commit": _commit(),
    }
    if flags.folds:
        outcome = _cross_validate(config, data, flags.run, flags.folds, running)
    else:
        outcome = finalize.train(
            config,
            data,
            flags.run,
            flags.output,
            score_part=training_figures.part_figures,
            note=flags.note,
            out_of_fold=table,
            **running,
        )
    print(json.dumps(outcome))
    return INTERRUPTED if outcome["outcome"] == trainer.INTERRUPTED else DONE


def _cross_validate(
    config: TrainingConfig, data: TrainingSet, run: Path, folds: int, running: dict[str, Any]
) -> dict[str, Any]:
    """Run the folds and return their outcome, with figures once all are finished."""
    from utils.evaluation.training_figures import locate_peaks, out_of_fold_figures
    from utils.training.decision.cross_validation import cross_validate
    from utils.training.decision.decide import decide

    found = cross_validate(config, data, run, folds=folds, locate_peaks=locate_peaks, **running)
    outcome = {
        "outcome": found.outcome,
        "run": str(run),
        "folds": folds,
        "finished": found.finished,
    }
    if found.table is None:
        return outcome
    figures = out_of_fold_figures(found.table, decide(found.table.scores, config))
    return {**outcome, "table": str(found.table.path), **figures}


def parser() -> Parser:
    """Describe the flags; those of the settings come from ``TrainingConfig``."""
    made = Parser(__doc__)
    made.add_dataset(READERS)
    add = made.add_argument
    add("--output", type=Path, default=Path("models/best_model.h5"), help="the bundle to write")
    add("--run", type=Path, default=Path("runs/latest"), help="checkpoints, logs and curves")
    add("--cache", type=Path, help="prepared images (default: cache/ in the run's folder)")
    add("--resume", action="store_true", help="go on from the checkpoint in the run's folder")
    minutes = number(1e-12, 1e6, "a positive number")
    add("--max_minutes", type=minutes, help="be done by then; the best so far is saved")
    add(
        "--folds",
        type=whole_number(2),
        help="cross-validate with so many folds instead of training one network",
    )
    add(
        "--decide_from",
        type=Path,
        metavar="TABLE",
        help="out_of_fold.csv of --folds, to fit calibration and operating points on",
    )
    add("--note", default="", help="what to know of how it was decided, for sidecar and model card")
    add("--quiet", action="store_true", help="no progress bars")
    add("--backend", choices=("tensorflow", "jax", "torch"), help="Keras backend to train on")
    add_flags(made)
    return made


def _commit() -> str:
    """Return the version of the code, "" outside a git checkout."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


if __name__ == "__main__":
    run(main)
