"""Writes a model card as Markdown from an evaluation: what the model is for, how good, where it fails."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from utils.evaluation.evaluate import Evaluation
from utils.evaluation.metrics import FIGURES
from utils.inference.certainty import DOUBTED_FOR, DOUBTFUL, WITHHELD, WITHHELD_FOR
from utils.inference.predictor import DISCLAIMER
from utils.model.architectures import DEFAULT_ARCHITECTURE
from utils.report import card_text as text
from utils.report.html import facts, markdown_table, plain
from utils.report.plots import interval_text
from utils.report.samples import FAILURES, failures
from utils.report.tables import Table, any_of, tables_of

# Argument of a plan to the flag of train.py, where the names differ.
_FLAGS = {"architecture": "model", "detail": "map"}
# What stands at the head of the card.
_SHORT = {
    "roc_auc": "area under the ROC curve",
    "average_precision": "average precision",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "calibration_slope": "calibration slope (1 is ideal)",
    "calibration_intercept": "calibration intercept (0 is ideal)",
    "calibration_error": "calibration error",
}
# Of these, what hardware in the pictures would flatter most.
_RANKING = ("roc_auc", "average_precision")


def card_page(evaluation: Evaluation) -> str:
    """Write the card.

    Args:
        evaluation: of the model, best on its own test part.

    Returns:
        Markdown. The same evaluation gives the same text; it shows no picture.

    Source:
        Mitchell et al., Model cards for model reporting, arXiv:1810.03993.
    """
    sections: list[str] = [f"# Model card: {_name(evaluation)}", f"> {DISCLAIMER}"]
    sections.append(
        "Written by `evaluate.py --card`, never by hand; `make evaluate` writes it anew, with the report "
        "that its tables are of, from the bundle and the data."
    )
    for title, parts in (
        ("In short", _summary(evaluation)),
        ("Intended use", [_list(text.USE)]),
        ("Out of scope", [_list(text.OUT_OF_SCOPE)]),
        ("What the labels mean", _labels(evaluation)),
        ("Data", _data(evaluation)),
        ("Splits and leakage", _splits(evaluation)),
        ("How it was trained", _training(evaluation)),
        ("The decision", _decision(evaluation)),
        ("Figures", _figures(evaluation)),
        ("Failures", _failures(evaluation)),
        ("What was not tested", [_list(text.NOT_TESTED)]),
        ("CLAIM", _claim()),
    ):
        sections += [f"## {title}", *parts]
    return "\n\n".join(sections) + "\n"


def training_command(args: Mapping[str, Any], dataset: str) -> str:
    """Return the command line that trains with these arguments, those of a bundle's sidecar.

    Args:
        args: fields of a ``plan.TrainingConfig`` by name, and the body parts asked for as ``region``.
        dataset: name of the reader.
    """
    # The split of older bundles had no seed of its own.
    args = {**args, "split_seed": args.get("split_seed", args["seed"])}
    words = ["python", "train.py", "--data", f"data/{dataset}", "--dataset", dataset]
    for name, value in args.items():
        if name == "augment":
            words += [] if value else ["--no_augmentation"]
        elif isinstance(value, bool):
            words += [f"--{name}"] if value else []
        elif name == "region":
            words += ["--region", *value] if value else []
        elif value is not None:
            # A file's name alone: where it lay on one machine helps nobody else.
            shown = PurePosixPath(value).name if isinstance(value, str) else str(value)
            words += [f"--{_FLAGS.get(name, name)}", shown]
    return shlex.join(words)


def _name(evaluation: Evaluation) -> str:
    """Name the model in the title: what kind of method, and for what."""
    bundle = evaluation.bundle
    return f"deep learning for fractures in radiographs ({bundle.architecture})"


def _summary(evaluation: Evaluation) -> Iterator[str]:
    """Say what it is and how good, in a few lines."""
    report = evaluation.report
    images, dataset = report["images"], report["dataset"]
    counts = images["counts"]
    of = "its own test data" if dataset["trained_on_these_data"] else "external data"
    yield (
        f"{report['model']['architecture']} at {report['model']['image_size']} pixels, trained on "
        f"{plain(str(report['model']['trained_on']))}, weights `{report['model']['sha256']}`. On "
        f"{counts['n']} radiographs of {plain(dataset['name'])} ({of}; {counts['positive']} positive, "
        f"{counts['groups']} groups) that took no part in training or calibrating, with 95 % "
        "intervals:"
    )
    rows = [(words, interval_text(images["figures"][name])) for name, words in _SHORT.items()]
    if "without_hardware" in report:
        without = report["without_hardware"]["figures"]
        rows += [
            (f"{_SHORT[name]}, without hardware", interval_text(without[name])) for name in _RANKING
        ]
    if report["localisation"]:
        marked = report["localisation"]["marked"]
        rows.append(
            ("highest point of the map inside a lesion", interval_text(marked["pointing_game"]))
        )
    head = report["region_head"]
    if head and head["n"]:
        rows.append(("body part named rightly", interval_text(head["accuracy"])))
    yield markdown_table(Table("", ("figure", "value"), tuple(rows)))


def _labels(evaluation: Evaluation) -> Iterator[str]:
    """Say what the two answers meant in the data."""
    labels = evaluation.bundle.labels
    yield f'"{plain(labels.positive)}" and "{plain(labels.negative)}": {plain(labels.meaning)}'
    if evaluation.dataset.meaning != labels.meaning:
        yield f"In the data it was evaluated on: {plain(evaluation.dataset.meaning)}"


def _data(evaluation: Evaluation) -> Iterator[str]:
    """Name the sources, with their licences."""
    training, dataset = evaluation.bundle.training, evaluation.report["dataset"]
    trained = str(training.get("dataset", ""))
    yield f"Trained on {plain(trained)}. {text.SOURCES.get(trained, text.UNKNOWN_SOURCE)}"
    sources = [str(training.get("attribution") or "")]
    if not dataset["trained_on_these_data"]:
        known = text.SOURCES.get(dataset["name"], text.UNKNOWN_SOURCE)
        yield f"Evaluated on {plain(dataset['name'])}. {known}"
        sources.append(dataset["attribution"])
    weights = _weights(training.get("args", {}))
    if "ImageNet" in weights:
        sources.append(text.IMAGENET)
    if evaluation.bundle.sidecar.ood_detector:
        sources.append(text.STRANGERS)
    sources = [plain(source) for source in dict.fromkeys(sources) if source]
    yield f"It began with {weights}."
    for built_on in training.get("built_on", ()):
        yield f"It builds on the bundle with weights `{built_on}`, and counts what that has seen as seen."
    if sources:
        yield _list(sources)


def _weights(args: Mapping[str, Any]) -> str:
    """Say what the training began with."""
    given = PurePosixPath(str(args.get("weights", ""))).name
    return text.WEIGHTS.get(given, f"the weights of `{given}`" if given else "weights not recorded")


def _splits(evaluation: Evaluation) -> Iterator[str]:
    """Say which images are in which part, what was left out, and why parts cannot leak."""
    counts = evaluation.bundle.training.get("counts", {})
    yield (
        "A part follows from a hash of a group's key and the seed, so that more data moves nobody. Groups "
        "are patients where the source names them, else studies or images; near-duplicates, found on their "
        "pixels, join groups, so no picture and no copy of one is on two sides. Images that the model has "
        "seen are listed beside it by content, and the evaluation leaves them out whatever copy they lie in."
    )
    used = counts.get("used", {})
    if used:
        rows = tuple(
            (part, str(of["images"]), str(of["positive"]), str(counts["parts"][part]["groups"]))
            for part, of in used.items()
        )
        yield f"As the training divided the data (seed {counts['seed']}):"
        yield markdown_table(Table("", ("part", "images", "positive", "groups"), rows))
    left_out = dict(facts(evaluation))["Images left out"]
    yield f"Left out of the training: {_reasons(counts)}. Left out of this evaluation: {plain(left_out)}."


def _reasons(counts: Mapping[str, Any]) -> str:
    """Say how many images were left out of a training, and why."""
    found = [
        *((number, reason) for reason, number in counts.get("dropped", {}).items()),
        (counts.get("truncated_left_out", 0), "files that end early"),
        (counts.get("unreadable", 0), "unreadable"),
    ]
    return plain("; ".join(f"{n} ({reason})" for n, reason in found if n) or "none")


def _training(evaluation: Evaluation) -> Iterator[str]:
    """Say with which command, how long and with what it was trained."""
    training = evaluation.bundle.training
    args = training.get("args") or {}
    if args:
        command = training_command(args, str(training.get("dataset")))
        yield f"```sh\n{_folded(command)}\n```"
    commit, finished = training.get("commit"), training.get("finished_commit")
    facts_of = {
        "SHA-256 of the weight file it began with": training.get("weights_sha256"),
        "Outcome": training.get("outcome"),
        "Epochs": training.get("epochs"),
        "Minutes": training.get("minutes"),
        "Commit": commit,
        "Commit that made the bundle": finished if finished != commit else None,
        **{
            name.capitalize(): value
            for name, value in evaluation.bundle.sidecar.environment.items()
        },
    }
    yield _list(f"{name}: {plain(str(value))}" for name, value in facts_of.items() if value)
    if evaluation.bundle.architecture != DEFAULT_ARCHITECTURE:
        yield (
            f"The default network of `train.py` is {DEFAULT_ARCHITECTURE}; this one was trained instead. "
            "What was tried, and how each run did, is in docs/experiments.md."
        )
    yield (
        "The epoch with the best area under the ROC curve on the validation part was kept; calibration and "
        "threshold were fitted on that part alone, and the program chose nothing by a figure of the test "
        "part."
    )
    if note := training.get("note"):
        yield f"Note: {plain(note)}"


def _folded(command: str) -> str:
    """Break a command line before flags, at a hundred characters."""
    lines, line = [], ""
    for word in command.replace(" --", "\n--").split("\n"):
        if line and len(line) + len(word) > 95:
            lines.append(line)
            line = "    "
        line += word if not line.strip() else f" {word}"
    return " \\\n".join([*lines, line])


def _decision(evaluation: Evaluation) -> Iterator[str]:
    """Say how a probability is made and from where on an answer is positive or doubtful."""
    bundle, report = evaluation.bundle, evaluation.report
    line = bundle.calibration
    yield (
        f"Probability: the network's logit times {line.slope:.4f} plus {line.intercept:.4f}, through the "
        f"logistic function. Positive from {bundle.threshold:.4f} on: {plain(bundle.chosen_by)}."
    )
    counts, said = report["images"]["counts"]["n"], report["certainty"]
    low, high = bundle.doubt
    warned = f", or warned of as {any_of(DOUBTED_FOR)}" if report["doubts"] else ""
    yield (
        f"Doubtful from {low:.4f} to below {high:.4f}{warned}: {said[DOUBTFUL]} of the {counts} images. The "
        "answer is given all the same and marked; the figures below stand with and without such answers."
    )
    if report["doubts"]:
        yield (
            f"Withheld where the picture is warned of as {any_of(WITHHELD_FOR)}: {said[WITHHELD]} of the "
            f"{counts} images."
        )
    local = dict(facts(evaluation)).get("Decision")
    if local:
        yield f"Not as the training left it: {plain(local)}."


def _figures(evaluation: Evaluation) -> Iterator[str]:
    """Write every table of the report."""
    bootstrap = evaluation.report["bootstrap"]
    yield (
        f"With 95 % intervals from {bootstrap['resamples']} bootstrap draws of groups (seed "
        f"{bootstrap['seed']})."
    )
    for table in tables_of(evaluation):
        yield f"### {table.title}"
        yield markdown_table(table)
        if table.note:
            yield plain(table.note)
    fitted = _fitted(evaluation)
    if fitted:
        yield "### On the images that the decision was fitted on"
        rows = tuple((words, interval_text(fitted[name])) for name, words in FIGURES.items())
        yield markdown_table(Table("", ("", "value"), rows))


def _fitted(evaluation: Evaluation) -> Mapping[str, Any]:
    """Return the figures of the validation part, or of the part that a local decision was fitted on."""
    local = evaluation.report.get("local_decision")
    found = local["figures_on_the_fitting_part"] if local else None
    return found or evaluation.bundle.metrics.get("validation") or {}


def _failures(evaluation: Evaluation) -> Iterator[str]:
    """List the surest wrong answers by the names that the source gives them."""
    yield (
        f"The surest wrong answers, one of a group each. `evaluate.py` draws them with their maps into "
        f"`{FAILURES}`, from the user's own copy of the data; no picture is kept in the project."
    )
    scored = evaluation.scored
    for kind, rows in failures(evaluation).items():
        lines = tuple(
            (
                scored.samples[row].id,
                f"{scored.probability[row]:.3f}",
                scored.samples[row].region or "",
                scored.samples[row].view or "",
                "yes" if scored.samples[row].hardware else "",
            )
            for row in rows
        )
        yield f"### {kind.capitalize()}"
        header = ("image", "probability", "region", "view", "hardware")
        yield markdown_table(Table("", header, lines)) if lines else "None."


def _claim() -> Iterator[str]:
    """Write where each item of the checklist is answered."""
    yield text.CLAIM_SOURCE
    rows = tuple((str(number), item, where) for number, item, where in text.CLAIM)
    yield markdown_table(Table("", ("item", "asks for", "answered in"), rows))


def _list(items: Iterable[str]) -> str:
    """Write a list in Markdown."""
    return "\n".join(f"- {item}" for item in items)
