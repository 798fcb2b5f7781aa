"""Evaluate a model on a labelled dataset: figures with intervals, curves, predictions and a report."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from utils.cli import DONE, Parser, run, whole_number
from utils.datasets.image_cache import DEFAULT_CACHE
from utils.datasets.readers import READERS
from utils.errors import InputError


def main() -> int:
    """Parse the flags, evaluate, write the report, and print the figures as one line of JSON."""
    flags = parser().parse_args()
    local = flags.recalibrate or flags.local_threshold is not None
    if flags.save and not local:
        raise InputError("--save writes what --recalibrate or --local_threshold fits; give one")

    from config import read_settings
    from utils.datasets.image_cache import prepare_images
    from utils.datasets.readers import read_dataset
    from utils.evaluation.evaluate import evaluate
    from utils.evaluation.ood import evaluate_ood, find_ood_folders
    from utils.evaluation.predictive_values import PREVALENCES
    from utils.evaluation.predictions_csv import read_names
    from utils.evaluation.recalibration import (
        check_target,
        degradation_message,
        fit_recalibration,
        save_recalibration,
    )
    from utils.inference.engine import load_engine
    from utils.inference.predictor import Predictor
    from utils.model.bundle import read_bundle
    from utils.report.write import make_folder, write_card, write_report

    # What can be at fault is looked at before anything slow begins.
    settings = read_settings()
    size = read_bundle(flags.model).preprocess.image_size
    dataset = read_dataset(flags.data, flags.dataset, flags.region)
    only = read_names(flags.only, dataset.samples) if flags.only else None
    strangers = find_ood_folders(flags.strangers)
    if flags.save:
        check_target(flags.save, flags.model)
    for file in filter(None, (flags.save, flags.card)):
        make_folder(file.parent)
    make_folder(flags.output)
    prepared = prepare_images(dataset.samples, size, flags.cache, progress=not flags.quiet)
    engine = load_engine(flags.model, settings.engine, cache=settings.engine_cache)
    evaluation = evaluate(
        engine,
        dataset,
        prepared,
        part=flags.part,
        only=only,
        resamples=flags.resamples,
        seed=flags.seed,
        prevalences=flags.prevalence or PREVALENCES,
        batch_size=flags.batch_size,
        progress=not flags.quiet,
    )
    outcome: dict[str, Any] = {}
    if local:
        decision = fit_recalibration(
            evaluation,
            recalibrate=flags.recalibrate,
            sensitivity=flags.local_threshold,
            seed=flags.seed,
        )
        evaluation = decision.evaluation
        outcome["local_decision"] = evaluation.report.model_dump(mode="json")["local_decision"]
        if worse := degradation_message(evaluation.report):
            print(f"evaluate.py: {worse}", file=sys.stderr)
        if flags.save:
            save_recalibration(decision, prepared, flags.save)
            outcome["saved"] = str(flags.save)
    if strangers:
        reader = Predictor(engine, limits=settings.limits)
        evaluation = evaluate_ood(
            evaluation,
            reader,
            strangers,
            batch_size=flags.batch_size,
            progress=not flags.quiet,
        )
        outcome["strangers"] = evaluation.report.model_dump(mode="json")["strangers"]
    files = write_report(evaluation, flags.output, samples=not flags.no_samples)
    if flags.card:
        outcome["card"] = str(write_card(evaluation, flags.card))
    report = evaluation.report.model_dump(mode="json")
    outcome |= {
        "output": str(flags.output),
        "files": [file.name for file in files],
        "model": report["model"]["sha256"],
        "dataset": report["dataset"]["name"],
        "part": flags.part,
        "counts": report["images"]["counts"],
        "left_out": report["left_out"],
        "figures": report["images"]["figures"],
    }
    print(json.dumps(outcome))
    return DONE


def parser() -> Parser:
    """Describe the flags."""
    make = Parser(__doc__)
    make.add_dataset(READERS)
    add = make.add_argument
    add("--model", type=Path, default=Path("models/best_model.h5"), help="the bundle to evaluate")
    add(
        "--part",
        choices=("test", "all"),
        default="test",
        help="test: the test part of the split that the model records, where these data trained it, "
        "else the one the source names; all: every image that the model has not seen",
    )
    add(
        "--only",
        type=Path,
        metavar="FILE",
        help="a predictions.csv: evaluate the images that it names, as if there were no others",
    )
    add("--output", type=Path, default=Path("reports"), help="folder to write the report into")
    add("--card", type=Path, help="also write the model card into this file")
    add("--no_samples", action="store_true", help="leave pictures of patients out of the report")
    add(
        "--prevalence",
        nargs="+",
        type=_share,
        default=(),
        metavar="SHARE",
        help="shares of fractures for which it is tabled how often an answer is right",
    )
    add(
        "--strangers",
        nargs="+",
        type=Path,
        default=(),
        metavar="FOLDER",
        help="folders of pictures that are no supported radiographs, to tell how many are doubted",
    )
    add("--resamples", type=whole_number(0), default=2000, help="bootstrap draws; 0: no intervals")
    add("--seed", type=whole_number(0), default=0, help="of the draws, and of the part that fits")
    add("--batch_size", type=whole_number(1), default=32, help="images a forward pass")
    add("--cache", type=Path, default=DEFAULT_CACHE, help="where prepared images are kept")
    add("--quiet", action="store_true", help="no progress bars")

    local = make.add_argument_group(
        "a decision of these data's own",
        "fitted on one half of their groups, reported on the other; the model stays as it is",
    )
    local.add_argument("--recalibrate", action="store_true", help="fit slope and intercept anew")
    local.add_argument(
        "--local_threshold",
        type=_share,
        metavar="SENSITIVITY",
        help="choose the threshold anew, for this sensitivity",
    )
    local.add_argument("--save", type=Path, help="write the outcome as a bundle (.h5) of its own")
    return make


def _share(text: str) -> float:
    """Read a number between 0 and 1."""
    try:
        share = float(text)
    except ValueError:
        share = float("nan")
    if not 0.0 < share < 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and below 1")
    return share


if __name__ == "__main__":
    run(main)
