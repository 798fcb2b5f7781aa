"""Writes an evaluation's figures as one HTML page with its pictures inside, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from utils.evaluation.evaluate import Evaluation
from utils.inference.certainty import DOUBTED_FOR, DOUBTFUL, WITHHELD, WITHHELD_FOR
from utils.inference.predictor import DISCLAIMER, data_uri
from utils.report.samples import FAILURES, SAMPLES
from utils.report.tables import Table, tables_of

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
PICTURES = {
    "confusion.png": "Outcomes at the operating point, as counts and as shares of each label.",
    "roc.png": "ROC curve with the operating point and the intervals of both its figures.",
    "precision_recall.png": "Precision against sensitivity, with the operating point.",
    "reliability.png": "Observed share of positives against predicted probability, in bins of equal "
    "mass, and how the probabilities of each class are spread.",
    SAMPLES: "The surest right and wrong answers: each radiograph beside its map in the model's own "
    "unit. Dashed frames are the lesions that the source marks.",
    FAILURES: "The surest wrong answers: each radiograph beside its map, lesions framed.",
}


def html_page(evaluation: Evaluation, pictures: Mapping[str, bytes]) -> str:
    """Write the report as one HTML file that needs no other.

    Args:
        evaluation: what to report.
        pictures: file name to PNG.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("report.html").render(
        title=_title(evaluation),
        disclaimer=DISCLAIMER,
        facts=list(facts(evaluation)),
        tables=list(tables_of(evaluation)),
        pictures=[
            (name, PICTURES[name], data_uri(picture, "image/png"))
            for name, picture in pictures.items()
        ],
        notes=_notes(evaluation),
    )


def markdown_page(evaluation: Evaluation, pictures: Sequence[str]) -> str:
    """Write the report as Markdown that names its pictures as files beside it."""
    parts = [f"# {_title(evaluation)}", f"> {DISCLAIMER}"]
    parts.append("\n".join(f"- {name}: {plain(text)}" for name, text in facts(evaluation)))
    for table in tables_of(evaluation):
        parts += [f"## {table.title}", markdown_table(table)]
        if table.note:
            parts.append(plain(table.note))
    parts.append("## Curves")
    parts += [f"![{PICTURES[name]}]({name})" for name in pictures]
    parts += ["## How to read this", "\n".join(f"- {note}" for note in _notes(evaluation))]
    return "\n\n".join(parts) + "\n"


def facts(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    """Yield what identifies the model, the data and the decision: name and text."""
    model, dataset = evaluation.report["model"], evaluation.report["dataset"]
    left_out = evaluation.report["left_out"]
    yield "Model", f"{model['architecture']}, input {model['image_size']} px, {model['sha256']}"
    yield "Trained on", str(model["trained_on"])
    yield "What a positive answer means", model["labels"]["meaning"]
    part = {"test": "the test part", "all": "everything the model has not seen"}[dataset["part"]]
    kind = "the data it was trained on" if dataset["trained_on_these_data"] else "external data"
    yield "Evaluated on", f"{dataset['name']} ({kind}), {part}"
    yield "What a positive label means there", dataset["meaning"]
    if dataset["attribution"]:
        yield "Source", dataset["attribution"]
    yield "Threshold", f"{model['threshold']:.4f}, {model['chosen_by']}"
    low, high = model["doubt"]
    said, doubted = evaluation.report["certainty"], evaluation.report["doubts"]
    warned = f", and pictures warned of as {' or '.join(sorted(DOUBTED_FOR))}" if doubted else ""
    zone = f"probabilities from {low:.4f} to below {high:.4f}"
    yield "Called doubtful", f"{zone}{warned} ({said[DOUBTFUL]} images)"
    if doubted:
        reasons = " or ".join(sorted(WITHHELD_FOR))
        yield "Withheld", f"answers to pictures warned of as {reasons} ({said[WITHHELD]} images)"
    if local := evaluation.report.get("local_decision"):
        others = local["rest"]["n"]
        yield "Decision", f"{_local(local)} of these; every figure is of the {others} others"
    elif local := evaluation.bundle.training.get("local"):
        yield "Decision", f"{_local(local)} of {local['name']}"
    counts = [
        (left_out["seen_by_the_model"], "trained or calibrated the model"),
        (left_out["near_duplicates_of_seen"], "near-duplicates of such images"),
        (left_out["unreadable"], "unreadable"),
        *((count, reason) for reason, count in left_out["dropped"].items()),
        (left_out.get("not_named", 0), "not named by --only"),
    ]
    said = "; ".join(f"{count} ({reason})" for count, reason in counts if count)
    yield "Images left out", said or "none"


def _local(told: Mapping[str, Any]) -> str:
    """Say what of a decision was fitted on other data than the training's, and on how many of them."""
    ways = {"calibration": told["recalibrated"], "threshold": told["sensitivity"] is not None}
    what = " and ".join(name for name, fitted in ways.items() if fitted)
    fitting = told["fitting"]
    counts = f"{fitting['positive']} positive, {fitting['groups']} groups"
    return f"{what} fitted on {fitting['n']} images ({counts})"


def _notes(evaluation: Evaluation) -> list[str]:
    """Say how the figures were made and what they do not say."""
    bootstrap = evaluation.report["bootstrap"]
    return [
        f"Intervals are the 2.5 and 97.5 percentiles of {bootstrap['resamples']} bootstrap draws "
        f"(seed {bootstrap['seed']}) of groups, not of images: a group is a patient where the source "
        "names patients, else images that are near-duplicates of each other.",
        "Draws that do not define a figure are left out of its interval; an interval of no width says "
        "that all groups agree, not that the figure is certain.",
        "The interval of the calibration error lies high, because a drawn sample is noisier than the "
        "one it is drawn from.",
        "The map shows where the evidence of this model lies, in logits; it outlines no lesion.",
        "Figures of another hospital, another kind of machine or another way of labelling will differ.",
    ]


def _title(evaluation: Evaluation) -> str:
    """Name the report."""
    report = evaluation.report
    return f"Evaluation of {report['model']['architecture']} on {report['dataset']['name']}"


def markdown_table(table: Table) -> str:
    """Write a table in Markdown."""
    lines = [table.header, tuple("---" for _ in table.header), *table.rows]
    return "\n".join("| " + " | ".join(plain(cell) for cell in line) + " |" for line in lines)


def plain(text: str) -> str:
    """Escape what Markdown would take for markup, so that names from a dataset stay names."""
    text = " ".join(text.split())
    for mark in ("\\", "|", "<", "[", "*", "_", "`"):
        text = text.replace(mark, f"\\{mark}")
    return text
