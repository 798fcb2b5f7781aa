"""Writes an evaluation into a folder: figures, predictions, curves, and pages that join them."""

from __future__ import annotations

import json
from pathlib import Path

from utils.errors import InputError
from utils.evaluation.evaluate import Evaluation
from utils.evaluation.predictions_csv import write_predictions
from utils.report.card import card_page
from utils.report.html import html_page, markdown_page
from utils.report.plots import PLOTS
from utils.report.samples import FAILURES, SAMPLES, draw_failures, draw_samples

METRICS, PREDICTIONS = "metrics.json", "predictions.csv"
HTML, MARKDOWN = "report.html", "report.md"


def make_folder(output: Path) -> None:
    """Make the folder of a report, so that a place that cannot hold it is known before the work.

    Raises:
        InputError: the folder cannot be made.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{output} cannot be made: {error.strerror}") from error


def write_report(evaluation: Evaluation, output: Path, *, samples: bool = True) -> tuple[Path, ...]:
    """Write everything about an evaluation.

    Args:
        evaluation: what to write.
        output: the folder, made where it is missing; files of an earlier report are replaced.
        samples: whether to draw radiographs with their maps. Without them nothing that is written
            shows a patient's picture, and such a picture from an earlier report is removed.

    Returns:
        The files written: metrics.json, predictions.csv, the curves and report.html and report.md.

    Raises:
        InputError: the folder cannot be made or written to.
    """
    # Drawn before anything is written, so that a fault leaves the earlier report whole.
    pictures = {name: draw(evaluation) for name, draw in PLOTS.items()}
    if samples:
        pictures[SAMPLES] = draw_samples(evaluation)
        gallery = draw_failures(evaluation)
        pictures |= {FAILURES: gallery} if gallery else {}
    texts = {
        METRICS: json.dumps(evaluation.report, indent=2, allow_nan=False) + "\n",
        HTML: html_page(evaluation, pictures),
        MARKDOWN: markdown_page(evaluation, [name for name in pictures if name in PLOTS]),
    }
    make_folder(output)
    try:
        for name, picture in pictures.items():
            (output / name).write_bytes(picture)
        for name, text in texts.items():
            (output / name).write_text(text, encoding="utf-8")
        write_predictions(evaluation.scored, evaluation.bundle.threshold, output / PREDICTIONS)
        for name in {SAMPLES, FAILURES} - pictures.keys():
            (output / name).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"the report cannot be written to {output}: {error.strerror}") from error
    return tuple(output / name for name in (METRICS, PREDICTIONS, *pictures, HTML, MARKDOWN))


def write_card(evaluation: Evaluation, path: Path) -> Path:
    """Write the model card, which shows no picture, and return its path.

    Raises:
        InputError: the file cannot be written.
    """
    card = card_page(evaluation)
    make_folder(path.parent)
    try:
        path.write_text(card, encoding="utf-8")
    except OSError as error:
        raise InputError(f"the card cannot be written to {path}: {error.strerror}") from error
    return path
