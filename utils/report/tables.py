"""Tables of an evaluation's report, their cells as texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from pydantic import BaseModel

from utils.evaluation.recalibration import degradation_message
from utils.evaluation.report_schema import (
    FIGURES,
    MEASURES,
    EvaluationReport,
    InputWarnings,
    Localisation,
    OODFolderRecord,
    Performance,
    RecalibrationRecord,
)
from utils.evaluation.scored_images import Evaluation
from utils.inference.input_warnings import (
    ANSWER_CODES,
    CERTAINTIES,
    DOUBTED_FOR,
    WITHHELD_FOR,
)
from utils.messages import sentence
from utils.report.format import any_of, interval_text

# Figures shown of each stratum; metrics.json has every figure.
STRATUM_FIGURES = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision",
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
}
STRATA = {
    "region": "By body region",
    "view": "By view",
    "hardware": "With and without hardware (plates, screws, casts)",
    "image_size": "By image size (longest side of the original)",
    "truncated": "By whether the file is whole",
}


@dataclass(frozen=True)
class Table:
    """One table of the report.

    Args:
        title: above it.
        header: one text a column.
        rows: texts.
        note: below it, or empty.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def tables_of(evaluation: Evaluation) -> Iterator[Table]:
    """Yield the tables in reading order."""
    report = evaluation.report
    if report.recalibration:
        yield _recalibration(report, report.recalibration)
    yield _overall(report)
    for name, title in STRATA.items():
        if name in report.strata:
            yield _stratum(title, report.strata[name])
    if report.predictive_values:
        yield _predictive_values(report)
    if report.localisation:
        yield _localisation(report.localisation)
    head = report.region_head
    if head and head.n:
        row = (", ".join(head.labels), str(head.n), interval_text(head.accuracy))
        yield Table("Body region named by the model", ("regions", "n", "accuracy"), (row,))
    if report.input_warnings:
        yield _input_warnings(report.input_warnings)
    if report.ood_folders:
        yield _ood(report.ood_folders)


def _overall(report: EvaluationReport) -> Table:
    """Make the table of every figure on all images and on their subsets."""
    sets: dict[str, Performance | None] = {
        "All images": report.images,
        "Studies": report.studies,
        "Without hardware": report.without_hardware,
        "Without truncated files": report.without_truncated,
        "Without doubtful answers": report.definite,
    }
    shown = {title: images for title, images in sets.items() if images}
    columns = []
    for images in shown.values():
        n = images.counts
        counts = f"{n.n} ({n.positive} positive), {n.groups} groups"
        columns.append((counts, *_intervals(images.figures, FIGURES)))
    rows = tuple(zip(("Counts", *FIGURES.values()), *columns, strict=True))
    note = _undefined(shown, FIGURES)
    if report.studies:
        note = f"{sentence('report.study_rule', rule=report.studies.rule)} {note}".strip()
    return Table("Figures with 95 % intervals", ("", *shown), rows, note)


def _stratum(title: str, strata: Mapping[str, Performance]) -> Table:
    """Make the table of one way to divide the images."""
    rows = tuple(
        (
            value,
            str(images.counts.n),
            str(images.counts.positive),
            *_intervals(images.figures, STRATUM_FIGURES),
        )
        for value, images in strata.items()
    )
    header = ("", "n", "positive", *STRATUM_FIGURES.values())
    return Table(title, header, rows, _undefined(strata, STRATUM_FIGURES))


def _predictive_values(report: EvaluationReport) -> Table:
    """Make the table of the predictive values by prevalence."""
    labels = report.model.labels
    header = ("prevalence", f'"{labels.positive}" is right', f'"{labels.negative}" is right')
    rows = tuple(
        (f"{row.prevalence * 100:.3g} %", *_intervals(row, ("positive", "negative")))
        for row in report.predictive_values
    )
    title = "How often an answer is right, by prevalence"
    return Table(title, header, rows, sentence("report.predictive_values"))


def _recalibration(report: EvaluationReport, local: RecalibrationRecord) -> Table:
    """Make the table of a decision fitted on a part of these data, beside the model's own."""
    before, after = (
        (
            f"{decision.slope:.4f}",
            f"{decision.intercept:.4f}",
            f"{decision.threshold:.4f}",
            "{:.4f} to {:.4f}".format(*decision.doubt),
            *_intervals(figures, FIGURES),
        )
        for decision, figures in (
            (local.before, local.figures_before),
            (local.after, report.images.figures),
        )
    )
    names = ("Slope on the logit", "Intercept added to it", "Threshold", "Doubtful probabilities")
    rows = tuple(zip((*names, *FIGURES.values()), before, after, strict=True))
    note = sentence(
        "report.recalibration",
        fitting=sentence("report.images", **local.fitting.model_dump()),
        rest=sentence("report.images", **local.rest.model_dump()),
        seed=local.split.seed,
    )
    return Table(
        "The decision fitted here, and the model's own",
        ("", "the model's own", "fitted here"),
        rows,
        f"{note} {degradation_message(report)}".strip(),
    )


def _localisation(found: Localisation) -> Table:
    """Make the table of how the maps lie on the lesions."""
    chance = (f"{found.chance.value:.3f}",) * len(MEASURES)
    called = found.marked_and_called_positive
    rows = (
        ("images with marked lesions", str(found.marked.n), *_intervals(found.marked, MEASURES)),
        ("of these, called positive", str(called.n), *_intervals(called, MEASURES)),
        ("by chance", str(found.marked.n), *chance),
    )
    rules = "; ".join(f"{MEASURES[name]}: {rule}" for name, rule in found.rules.items())
    rules = f"{rules[0].upper()}{rules[1:]}"
    return Table(
        "Where the map points",
        ("", "n", *MEASURES.values()),
        rows,
        sentence("report.localisation", rules=rules, chance=found.chance.meaning),
    )


def _input_warnings(found: InputWarnings) -> Table:
    """Make the table of the warnings about the pictures, by label."""
    header: tuple[str, ...] = ("warning", f"of {found.n}", "share")
    for label, n in found.labels.items():
        header += (f"of {n} {label}", "share")
    rows = []
    for code, counted in found.codes.items():
        parts = (counted, *(counted.by_label or {}).values())
        cells = ((str(part.n), interval_text(part.share)) for part in parts)
        rows.append((code, *chain.from_iterable(cells)))
    note = sentence(
        "report.input_warnings",
        withheld_for=any_of(WITHHELD_FOR),
        doubtful_for=any_of(DOUBTED_FOR),
    )
    return Table("Input warnings", header, tuple(rows), note)


def _ood(folders: Sequence[OODFolderRecord]) -> Table:
    """Make the table of the answers to out-of-distribution images, one column a folder."""
    counts = {"pictures": [folder.pictures for folder in folders]}
    for name in CERTAINTIES:
        counts[f"{name} answers"] = [getattr(folder.certainty, name) for folder in folders]
    counts |= {code: [folder.warnings[code] for folder in folders] for code in ANSWER_CODES}
    counts["no warning"] = [folder.without_warning for folder in folders]
    counts["files refused"] = [folder.refused for folder in folders]
    rows = tuple((words, *map(str, numbers)) for words, numbers in counts.items())
    header = ("", *(folder.folder for folder in folders))
    return Table("Out-of-distribution images", header, rows, sentence("report.ood"))


def _intervals(figures: BaseModel, names: Iterable[str]) -> list[str]:
    """Write some of the figures of a record."""
    return [interval_text(getattr(figures, name)) for name in names]


def _undefined(shown: Mapping[str, Performance], names: Mapping[str, str]) -> str:
    """Return why figures that are shown without a value or an interval lack it."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for title, images in shown.items():
        for name in names:
            if reason := getattr(images.figures, name).reason:
                reasons.setdefault((title, reason), []).append(FIGURES[name].split(" (")[0])
    every = sentence("report.every_figure")
    return " ".join(
        sentence(
            "report.no_value",
            title=title,
            reason=reason,
            figures=every if len(missing) == len(names) else ", ".join(missing),
        )
        for (title, reason), missing in reasons.items()
    )
