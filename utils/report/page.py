"""Writes an evaluation's figures as one HTML page with its pictures inside, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.evaluation import Evaluation
from utils.inference import DISCLAIMER, data_uri
from utils.metrics import FIGURES
from utils.report.plots import interval_text
from utils.report.samples import SAMPLES

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
# What is shown of each kind of image; metrics.json has every figure.
SHORT = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision",
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
}
WAYS = {
    "region": "By body region",
    "view": "By view",
    "hardware": "With and without hardware (plates, screws, casts)",
    "image_size": "By image size (longest side of the original)",
    "truncated": "By whether the file is whole",
}
PICTURES = {
    "confusion.png": "Outcomes at the operating point, as counts and as shares of each label.",
    "roc.png": "ROC curve with the operating point and the intervals of both its figures.",
    "precision_recall.png": "Precision against sensitivity, with the operating point.",
    "reliability.png": "Observed share of positives against predicted probability, in bins of equal "
    "mass, and how the probabilities of each class are spread.",
    SAMPLES: "The surest right and wrong answers: each radiograph beside its map in the model's own "
    "unit. Dashed frames are the lesions that the source marks.",
}


@dataclass(frozen=True)
class Table:
    """One table of the report.

    Args:
        title: above it.
        header: one text a column.
        rows: texts.
        note: below it, empty where there is nothing to say.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


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
    parts.append("\n".join(f"- {name}: {_plain(text)}" for name, text in facts(evaluation)))
    for table in tables_of(evaluation):
        parts += [f"## {table.title}", _markdown_table(table)]
        if table.note:
            parts.append(_plain(table.note))
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
    doubtful = evaluation.report["images"]["counts"]["n"]
    doubtful -= evaluation.report["definite"]["counts"]["n"]
    yield "Called doubtful", f"probabilities from {low:.4f} to below {high:.4f} ({doubtful} images)"
    counts = [
        (left_out["seen_by_the_model"], "trained or calibrated the model"),
        (left_out["near_duplicates_of_seen"], "near-duplicates of such images"),
        (left_out["unreadable"], "unreadable"),
        *((count, reason) for reason, count in left_out["dropped"].items()),
    ]
    said = "; ".join(f"{count} ({reason})" for count, reason in counts if count)
    yield "Images left out", said or "none"


def tables_of(evaluation: Evaluation) -> Iterator[Table]:
    """Yield the tables in the order in which they are read."""
    report = evaluation.report
    ways = {
        "images": "All images",
        "studies": "Studies",
        "without_hardware": "Without hardware",
        "without_truncated": "Without truncated files",
        "definite": "Without doubtful answers",
    }
    columns = {name: title for name, title in ways.items() if name in report}
    rows = [("Counts", *(_counts(report[name]) for name in columns))]
    for name, words in FIGURES.items():
        rows.append((words, *(interval_text(report[way]["figures"][name]) for way in columns)))
    note = _undefined([(title, report[name]) for name, title in columns.items()], FIGURES)
    if "studies" in report:
        note = f"A study's probability is {report['studies']['rule']}. {note}".strip()
    yield Table("Figures with 95 % intervals", ("", *columns.values()), tuple(rows), note)
    for way, title in WAYS.items():
        if way in report["by"]:
            yield _stratum(title, report["by"][way])
    if report["localisation"]:
        yield _localisation(report["localisation"])
    head = report["region_head"]
    if head and head["n"]:
        row = (", ".join(head["labels"]), str(head["n"]), interval_text(head["accuracy"]))
        yield Table("Body region named by the model", ("regions", "n", "accuracy"), (row,))


def _stratum(title: str, tables: Mapping[str, Any]) -> Table:
    """Make the table of one way to divide the images."""
    rows = [
        (
            value,
            str(table["counts"]["n"]),
            str(table["counts"]["positive"]),
            *(interval_text(table["figures"][name]) for name in SHORT),
        )
        for value, table in tables.items()
    ]
    header = ("", "n", "positive", *SHORT.values())
    return Table(title, header, tuple(rows), _undefined(list(tables.items()), SHORT))


def _localisation(found: Mapping[str, Any]) -> Table:
    """Make the table of how often the map points at the lesion."""
    rows = (
        ("images with marked lesions", found["marked"]),
        ("of these, called positive", found["marked_and_called_positive"]),
    )
    chance = f"{found['chance']['value']:.3f}"
    return Table(
        "Where the map points",
        ("", "n", "peak inside a lesion"),
        (
            *((name, str(game["n"]), interval_text(game["pointing_game"])) for name, game in rows),
            ("a peak placed anywhere", str(found["marked"]["n"]), chance),
        ),
        f"Counted where {found['rule']}.",
    )


def _counts(table: Mapping[str, Any]) -> str:
    """Say how many images a column speaks of."""
    counts = table["counts"]
    return f"{counts['n']} ({counts['positive']} positive), {counts['groups']} groups"


def _undefined(tables: Sequence[tuple[str, Mapping[str, Any]]], shown: Iterable[str]) -> str:
    """Say why figures that are shown without a value or an interval lack it."""
    said: dict[tuple[str, str], list[str]] = {}
    for title, table in tables:
        for name in shown:
            reason = table["figures"][name].get("reason")
            if reason:
                said.setdefault((title, reason), []).append(FIGURES[name].split(" (")[0])
    every = len(list(shown))
    return " ".join(
        f"{title}: {reason} ({'every figure' if len(names) == every else ', '.join(names)})."
        for (title, reason), names in said.items()
    )


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


def _markdown_table(table: Table) -> str:
    """Write a table in Markdown."""
    lines = [table.header, tuple("---" for _ in table.header), *table.rows]
    return "\n".join("| " + " | ".join(_plain(cell) for cell in line) + " |" for line in lines)


def _plain(text: str) -> str:
    """Escape what Markdown would take for markup, so that names from a dataset stay names."""
    text = " ".join(text.split())
    for mark in ("\\", "|", "<", "[", "*", "_", "`"):
        text = text.replace(mark, f"\\{mark}")
    return text
