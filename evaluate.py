"""Evaluate a model on a labelled dataset: figures with intervals, curves, predictions and a report."""

from __future__ import annotations

import json
import sys
from dataclasses import fields
from pathlib import Path

from utils.cli import DONE, Parser, run, share, whole_number
from utils.datasets.image_cache import DEFAULT_CACHE
from utils.datasets.readers import READERS
from utils.evaluation.predictive_values import PREVALENCES


def main() -> int:
    """Parse the flags, evaluate, write the report, and print the figures as one line of JSON."""
    flags = parser().parse_args()

    from config import read_settings
    from utils.evaluation.evaluate import EvaluationRequest, read_inputs, run_evaluation
    from utils.evaluation.recalibration import degradation_message
    from utils.report.write import make_folder, write_card, write_report

    names = [field.name for field in fields(EvaluationRequest)]
    request = EvaluationRequest(**{name: getattr(flags, name) for name in names})
    settings = read_settings()
    inputs = read_inputs(request)
    for file in filter(None, (flags.save, flags.card)):
        make_folder(file.parent)
    make_folder(flags.output)
    evaluation = run_evaluation(
        request, inputs, settings.engine, settings.engine_cache, settings.limits
    )
    if degraded := degradation_message(evaluation.report):
        print(f"evaluate.py: {degraded}", file=sys.stderr)
    files = write_report(evaluation, flags.output, samples=not flags.no_samples)
    outcome = evaluation.report.summary()
    if flags.save:
        outcome["saved"] = str(flags.save)
    if flags.card:
        outcome["card"] = str(write_card(evaluation, flags.card))
    outcome |= {"output": str(flags.output), "files": [file.name for file in files]}
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
        type=share,
        default=PREVALENCES,
        metavar="SHARE",
        help="shares of fractures for which the predictive values are tabled",
    )
    add(
        "--ood",
        "--strangers",
        nargs="+",
        type=Path,
        default=(),
        metavar="FOLDER",
        help="folders of out-of-distribution samples, to count how many get a warning",
    )
    add("--resamples", type=whole_number(0), default=2000, help="bootstrap draws; 0: no intervals")
    add("--seed", type=whole_number(0), default=0, help="of the draws, and of the part that fits")
    add("--batch_size", type=whole_number(1), default=32, help="images a forward pass")
    add("--cache", type=Path, default=DEFAULT_CACHE, help="where prepared images are kept")
    add("--quiet", action="store_true", help="no progress bars")

    local = make.add_argument_group(
        "recalibration",
        "fitted on one half of the groups, reported on the other; the model stays as it is",
    )
    local.add_argument("--recalibrate", action="store_true", help="fit slope and intercept anew")
    local.add_argument(
        "--local_threshold",
        type=share,
        metavar="SENSITIVITY",
        help="choose the threshold anew, for this sensitivity, and both operating points around it",
    )
    local.add_argument("--save", type=Path, help="write the outcome as a bundle (.h5) of its own")
    return make


if __name__ == "__main__":
    run(main)
