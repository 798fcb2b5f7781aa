"""Evaluate a model on a labelled dataset: figures with intervals, curves, predictions and a report."""

from __future__ import annotations

import json
from pathlib import Path

from utils.command_line import DONE, Parser, run, whole_number
from utils.datasets import READERS
from utils.pipeline import DEFAULT_CACHE


def main() -> int:
    """Parse the flags, evaluate, write the report, and print the figures as one line of JSON."""
    flags = parser().parse_args()

    from config import read_settings
    from utils.bundle import read_bundle
    from utils.datasets import read_dataset
    from utils.engine import load_engine
    from utils.evaluation import evaluate
    from utils.pipeline import prepare
    from utils.report import make_folder, write_report

    # What can be at fault is looked at before anything slow begins.
    settings = read_settings()
    size = read_bundle(flags.model).preprocess.image_size
    dataset = read_dataset(flags.data, flags.dataset, flags.region)
    make_folder(flags.output)
    prepared = prepare(dataset.samples, size, flags.cache, progress=not flags.quiet)
    evaluation = evaluate(
        load_engine(flags.model, settings.engine, cache=settings.engine_cache),
        dataset,
        prepared,
        part=flags.part,
        resamples=flags.resamples,
        seed=flags.seed,
        batch_size=flags.batch_size,
        progress=not flags.quiet,
    )
    files = write_report(evaluation, flags.output, samples=not flags.no_samples)
    report = evaluation.report
    outcome = {
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
    add("--output", type=Path, default=Path("reports"), help="folder to write the report into")
    add("--no_samples", action="store_true", help="leave pictures of patients out of the report")
    add("--resamples", type=whole_number(0), default=2000, help="bootstrap draws; 0: no intervals")
    add("--seed", type=whole_number(0), default=0, help="of the bootstrap draws")
    add("--batch_size", type=whole_number(1), default=32, help="images a forward pass")
    add("--cache", type=Path, default=DEFAULT_CACHE, help="where prepared images are kept")
    add("--quiet", action="store_true", help="no progress bars")
    return make


if __name__ == "__main__":
    run(main)
