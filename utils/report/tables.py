"""From an evaluation's report to its tables, as texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from utils.evaluation.evaluate import Evaluation
from utils.evaluation.localisation import MEASURES
from utils.evaluation.metrics import FIGURES
from utils.evaluation.recalibration import degradation_message
from utils.inference.certainty import CERTAINTIES, DOUBTED_FOR, WITHHELD_FOR
from utils.model.ood import CODES
from utils.report.plots import interval_text

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


def tables_of(evaluation: Evaluation) -> Iterator[Table]:
    """Yield the tables in the order in which they are read."""
    report = evaluation.report
    if "local_decision" in report:
        yield _local_decision(report)
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
    if report["predictive_values"]:
        yield _predictive_values(report)
    if report["localisation"]:
        yield _localisation(report["localisation"])
    head = report["region_head"]
    if head and head["n"]:
        row = (", ".join(head["labels"]), str(head["n"]), interval_text(head["accuracy"]))
        yield Table("Body region named by the model", ("regions", "n", "accuracy"), (row,))
    if report["doubts"]:
        yield _doubts(report["doubts"])
    if "strangers" in report:
        yield _strangers(report["strangers"])


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


def _predictive_values(report: Mapping[str, Any]) -> Table:
    """Make the table of how often answers are right at some prevalences."""
    labels = report["model"]["labels"]
    rows = tuple(
        (
            f"{row['prevalence'] * 100:.3g} %",
            interval_text(row["positive"]),
            interval_text(row["negative"]),
        )
        for row in report["predictive_values"]
    )
    return Table(
        "How often an answer is right, by prevalence",
        ("prevalence", *(f'"{labels[name]}" is right' for name in ("positive", "negative"))),
        rows,
        "Predictive values by Bayes' rule from the sensitivity and specificity above, doubtful answers "
        "included. They hold where pictures and patients are like these and only the prevalence differs.",
    )


def _local_decision(report: Mapping[str, Any]) -> Table:
    """Make the table of a decision that was fitted on a part of these data, beside the model's own."""
    told, after = report["local_decision"], report["images"]["figures"]
    before, own = told["figures_before"], told["before"]
    new = told["after"]
    numbers = {
        "slope": "Slope on the logit",
        "intercept": "Intercept added to it",
        "threshold": "Threshold",
    }
    rows = [(words, f"{own[name]:.4f}", f"{new[name]:.4f}") for name, words in numbers.items()]
    first, second = (f"{way['doubt'][0]:.4f} to {way['doubt'][1]:.4f}" for way in (own, new))
    rows.append(("Doubtful probabilities", first, second))
    rows += [
        (words, interval_text(before[name]), interval_text(after[name]))
        for name, words in FIGURES.items()
    ]
    fitting, rest = told["fitting"], told["rest"]
    note = (
        f"Fitted on {_images(fitting)}, by a hash of the group (seed {told['split']['seed']}); the "
        f"figures of both columns are of {_images(rest)} that took no part in it. "
        f"{degradation_message(report)}"
    )
    return Table(
        "The decision fitted here, and the model's own",
        ("", "the model's own", "fitted here"),
        tuple(rows),
        note.strip(),
    )


def _images(counts: Mapping[str, int]) -> str:
    """Say how many images of how many groups there are."""
    return f"{counts['n']} images ({counts['positive']} positive, {counts['groups']} groups)"


def _localisation(found: Mapping[str, Any]) -> Table:
    """Make the table of how the maps lie on the lesions."""
    rows = (
        ("images with marked lesions", found["marked"]),
        ("of these, called positive", found["marked_and_called_positive"]),
    )
    chance = f"{found['chance']['value']:.3f}"
    rules = "; ".join(f"{MEASURES[name]}: {rule}" for name, rule in found["rules"].items())
    return Table(
        "Where the map points",
        ("", "n", *MEASURES.values()),
        (
            *(
                (name, str(game["n"]), *(interval_text(game[measure]) for measure in MEASURES))
                for name, game in rows
            ),
            ("by chance", str(found["marked"]["n"]), *(chance for _ in MEASURES)),
        ),
        f"{rules[0].upper()}{rules[1:]}. By chance: {found['chance']['meaning']}.",
    )


def _doubts(found: Mapping[str, Any]) -> Table:
    """Make the table of what the pictures are doubted for."""
    rows = tuple(
        (code, *_count_and_share([told, *told["by_label"].values()]))
        for code, told in found["codes"].items()
    )
    header = ["warning", f"of {found['n']}", "share"]
    for label, n in found["labels"].items():
        header += [f"of {n} {label}", "share"]
    return Table(
        "Pictures that the model doubts",
        tuple(header),
        rows,
        f"With {any_of(WITHHELD_FOR)} the answer is withheld, with {any_of(DOUBTED_FOR)} it is marked as "
        "doubtful, whatever its probability. The figures above count such answers as if they were given, but "
        "for those without doubtful answers, which leave both out.",
    )


def _strangers(folders: Sequence[Mapping[str, Any]]) -> Table:
    """Make the table of how pictures that are no supported radiographs were answered."""

    def row(words: str, values: Iterable[int]) -> tuple[str, ...]:
        return (words, *map(str, values))

    rows = [
        row("pictures", (told["pictures"] for told in folders)),
        *(
            row(f"{name} answers", (told["certainty"][name] for told in folders))
            for name in CERTAINTIES
        ),
        *(row(code, (told["warnings"][code] for told in folders)) for code in CODES),
        row("no warning", (told["without_warning"] for told in folders)),
        row("files refused", (told["refused"] for told in folders)),
    ]
    return Table(
        "Pictures that are no supported radiographs",
        ("", *(told["folder"] for told in folders)),
        tuple(rows),
        "Answered as by predict.py, a column a folder. Every answer that is definite here is given to a "
        "picture the model knows nothing of. A picture may carry several warnings, or others than these. "
        "Refused are files that cannot be read, or hold no single picture that could be a radiograph; they "
        "are in no other row.",
    )


def _count_and_share(counted: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield number and share of each count."""
    for told in counted:
        yield str(told["n"])
        yield interval_text(told["share"])


def any_of(codes: Iterable[str]) -> str:
    """Name the warnings of which one suffices."""
    return " or ".join(f"`{code}`" for code in sorted(codes))


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
