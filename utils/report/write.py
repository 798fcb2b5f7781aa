"""Files of an evaluation: metrics.json, predictions.csv, curves, report pages, model card."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from utils.errors import InputError
from utils.evaluation.scored_images import Evaluation, write_predictions
from utils.report.card import card_page
from utils.report.pages import html_page, markdown_page
from utils.report.plots import PLOTS
from utils.report.samples import FAILURES, SAMPLES, draw_failures, draw_samples


def make_folder(folder: Path) -> None:
    """Make the folder of a report, early, so that an unusable place is found before the work.

    Raises:
        InputError: the folder cannot be made.
    """
    with _input_error("report.folder_not_made", folder):
        folder.mkdir(parents=True, exist_ok=True)


def write_report(evaluation: Evaluation, folder: Path, *, samples: bool = True) -> tuple[Path, ...]:
    """Write everything about an evaluation.

    Args:
        evaluation: what to write.
        folder: made where it is missing; files of an earlier report are replaced.
        samples: whether to draw radiographs with their maps. Without them no patient's picture is
            in any file, and such a picture from an earlier report is removed.

    Returns:
        The files written: metrics.json, predictions.csv, the pictures, report.html and report.md.

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
        "metrics.json": evaluation.report.to_json(),
        "report.html": html_page(evaluation, pictures),
        "report.md": markdown_page(evaluation, [name for name in pictures if name in PLOTS]),
    }
    make_folder(folder)
    with _input_error("report.report_not_written", folder):
        for name, picture in pictures.items():
            (folder / name).write_bytes(picture)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        write_predictions(
            evaluation.scored, evaluation.bundle.threshold, folder / "predictions.csv"
        )
        for name in {SAMPLES, FAILURES} - pictures.keys():
            (folder / name).unlink(missing_ok=True)
    names = ("metrics.json", "predictions.csv", *pictures, "report.html", "report.md")
    return tuple(folder / name for name in names)


def write_card(evaluation: Evaluation, path: Path) -> Path:
    """Write the model card and return its path.

    Raises:
        InputError: the file cannot be written.
    """
    card = card_page(evaluation)
    make_folder(path.parent)
    with _input_error("report.card_not_written", path):
        path.write_text(card, encoding="utf-8")
    return path


@contextmanager
def _input_error(message_id: str, path: Path) -> Iterator[None]:
    """Convert what the file system refuses into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(message_id, path=path, reason=error.strerror) from error
