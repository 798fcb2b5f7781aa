"""Train a fracture detector on MURA, FracAtlas or a folder of images, and save it as a bundle."""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from utils.cli import DONE, INTERRUPTED, Parser, run, whole_number
from utils.datasets.readers import AUTO, READERS
from utils.datasets.training_set import read_training_set
from utils.errors import InputError, SetupError, UnknownName
from utils.model.architectures import ARCHITECTURES, DEFAULT_ARCHITECTURE
from utils.model.pretrained import IMAGENET, RANDOM
from utils.model_builder import COARSE, FINE
from utils.preprocess import LARGEST, SMALLEST
from utils.training.config import TrainingConfig
from utils.training.leakage import parent_bundles
from utils.training.schedule import SCHEDULES


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the flags, train, and print the outcome as one line of JSON."""
    flags = parser().parse_args(arguments)
    deadline = time.monotonic() + 60 * (flags.max_minutes or math.inf)
    config = training_config(flags)
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
    # Only now: Keras takes seconds to import, and a wrong flag should be answered at once.
    from utils.training.finalize import train
    from utils.training.trainer import INTERRUPTED as STOPPED

    outcome = train(
        config,
        data,
        flags.run,
        flags.output,
        deadline=deadline,
        resume=flags.resume,
        progress=not flags.quiet,
        commit=_commit(),
        note=flags.note,
    )
    print(json.dumps(outcome))
    return INTERRUPTED if outcome["outcome"] == STOPPED else DONE


def parser() -> Parser:
    """Describe the flags."""
    make = Parser(__doc__)
    make.add_dataset(READERS)
    add = make.add_argument
    add("--output", type=Path, default=Path("models/best_model.h5"), help="the bundle to write")
    add("--run", type=Path, default=Path("runs/latest"), help="checkpoints, logs and curves")
    add("--cache", type=Path, help="prepared images (default: cache/ in the run's folder)")
    add("--resume", action="store_true", help="go on from the checkpoint in the run's folder")
    add("--max_minutes", type=_positive, help="be done by then; the best so far is saved")
    add("--note", default="", help="what to know of how it was decided, for sidecar and model card")
    add("--quiet", action="store_true", help="no progress bars")
    add("--backend", choices=("tensorflow", "jax", "torch"), help="Keras backend to train on")

    network = make.add_argument_group("network")
    add = network.add_argument
    add("--model", default=DEFAULT_ARCHITECTURE, help=f"one of {', '.join(ARCHITECTURES)}")
    add("--image_size", type=whole_number(1), default=320, help="side of the square input, pixels")
    add(
        "--weights",
        help=f"{IMAGENET}, {RANDOM} or a path (.npz, .h5) (default: {IMAGENET}; {RANDOM} for custom)",
    )
    add("--map", choices=(COARSE, FINE), default=FINE, help="detail of the activation map")
    add("--dropout", type=_share, default=0.3, help="of the pooled features")
    add("--batch_norm", choices=("auto", "hold", "train"), default="auto", help="its statistics")

    schedule = make.add_argument_group("training")
    add = schedule.add_argument
    add("--epochs", type=whole_number(1), default=20, help="of fine-tuning the whole network")
    add("--head_epochs", type=whole_number(0), default=1, help="before it, of the new heads alone")
    add("--batch_size", type=whole_number(1), default=32, help="images a step")
    add("--learning_rate", type=_positive, default=1e-4, help="highest, of fine-tuning")
    add("--head_learning_rate", type=_positive, default=1e-3, help="of the heads alone")
    add("--schedule", choices=tuple(SCHEDULES), default="cosine", help="of the learning rate")
    add(
        "--patience", type=whole_number(1), default=8, help="epochs without a better validation AUC"
    )
    add("--weight_decay", type=_not_negative, default=1e-4, help="of AdamW")
    add(
        "--averaging",
        type=_share,
        default=0.0,
        help="momentum of the running mean of the weights that is kept; 0: the last step's",
    )
    add("--label_smoothing", type=_share, default=0.0, help="of the fracture's loss")
    add(
        "--location_weight",
        type=_not_negative,
        default=0.3,
        help="of the loss that tells the map where the marked fractures are",
    )
    add(
        "--region_weight",
        type=_not_negative,
        default=0.2,
        help="of the body part's loss; 0: no such head",
    )
    add("--teacher", help="a bundle whose network teaches this one what it sees, a .h5 path")
    add("--teacher_weight", type=_not_negative, default=1.0, help="of the loss that does so")
    add("--class_weight", choices=("balanced", "none"), default="balanced", help="of the classes")
    add(
        "--negatives",
        type=_not_negative,
        default=0.0,
        help="normal images an epoch shows for each fractured one, drawn anew; 0: all of them",
    )
    add("--no_augmentation", action="store_true", help="show every picture as it is")
    add("--mixed_precision", action="store_true", help="compute in bfloat16")
    add("--sensitivity", type=_share, default=0.90, help="that the threshold is chosen for")
    add("--seed", type=whole_number(0), default=0, help="of weights, order and augmentation")
    add("--split_seed", type=whole_number(0), default=0, help="of the split alone")
    return make


def training_config(flags: argparse.Namespace) -> TrainingConfig:
    """Make the plan that the flags describe.

    Raises:
        UnknownName: a name that is in none of the tables.
        InputError, SetupError: see ``_check``.
    """
    ARCHITECTURES[flags.model]
    if flags.dataset != AUTO:
        READERS[flags.dataset]
    has_published = bool(ARCHITECTURES[flags.model].backbone)
    config = TrainingConfig(
        architecture=flags.model,
        image_size=flags.image_size,
        weights=flags.weights or (IMAGENET if has_published else RANDOM),
        epochs=flags.epochs,
        head_epochs=flags.head_epochs,
        batch_size=flags.batch_size,
        learning_rate=flags.learning_rate,
        head_learning_rate=flags.head_learning_rate,
        schedule=flags.schedule,
        patience=flags.patience,
        weight_decay=flags.weight_decay,
        averaging=flags.averaging,
        dropout=flags.dropout,
        label_smoothing=flags.label_smoothing,
        detail=flags.map,
        location_weight=flags.location_weight,
        region_weight=flags.region_weight,
        teacher=flags.teacher,
        teacher_weight=flags.teacher_weight,
        class_weight=flags.class_weight,
        negatives=flags.negatives,
        augment=not flags.no_augmentation,
        batch_norm=flags.batch_norm,
        mixed_precision=flags.mixed_precision,
        sensitivity=flags.sensitivity,
        seed=flags.seed,
        split_seed=flags.split_seed,
    )
    _check(config, flags.output, resume=flags.resume)
    return config


def _check(config: TrainingConfig, output: Path, *, resume: bool) -> None:
    """Find out now what would fail, or do harm, after minutes of preparing and training.

    Raises:
        UnknownName: the image size is none that a bundle can have.
        InputError: the bundle to write is one that the training builds on, or averaging would not fit
            what batch normalisation does.
        SetupError: there is no weight file to begin with, or no teacher, at the path given.
    """
    if not SMALLEST <= config.image_size <= LARGEST:
        raise UnknownName(
            f"--image_size {config.image_size} is outside {SMALLEST} to {LARGEST} pixels"
        )
    named = config.weights in (IMAGENET, RANDOM)
    if not named and not resume and not Path(config.weights).is_file():
        raise SetupError(
            f"there are no weights at {config.weights}; --weights takes {IMAGENET}, {RANDOM}, or the path "
            "of a .npz or .h5 file"
        )
    if config.averaging and not config.holds_batch_norm:
        raise InputError(
            "--averaging would join the mean of the weights with the last statistics of batch normalisation; "
            "hold those (--batch_norm hold), or train without it"
        )
    for bundle in parent_bundles(config):
        if output.exists() and bundle.path.samefile(output):
            raise InputError(f"--output {output} is what the training builds on; name another file")


def _commit() -> str:
    """Return the code's version, empty outside a git checkout."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def _number(text: str, low: float, high: float, wanted: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return value


def _positive(text: str) -> float:
    return _number(text, 1e-12, 1e6, "a positive number")


def _not_negative(text: str) -> float:
    return _number(text, 0.0, 1e6, "a number of at least 0")


def _share(text: str) -> float:
    return _number(text, 0.0, 0.999, "a share from 0 to below 1")


if __name__ == "__main__":
    run(main)
