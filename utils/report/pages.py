"""Pages of the report, HTML and Markdown, and the environment of their Jinja templates.

What both pages share has templates of its own: facts.txt and captions.txt (a name and a text a line), and
notes.txt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from utils.evaluation.scored_images import Evaluation
from utils.inference.input_warnings import DOUBTED_FOR, WITHHELD_FOR
from utils.inference.prediction import data_uri, disclaimer
from utils.report import format as formats
from utils.report.tables import tables_of
from utils.report.training_record import TrainingRecord

TEMPLATES = Path(__file__).resolve().parents[2] / "templates" / "report"


def html_page(evaluation: Evaluation, pictures: Mapping[str, bytes]) -> str:
    """Render the report as one HTML file with its pictures, file name to PNG, inside."""
    uris = {name: data_uri(png, "image/png") for name, png in pictures.items()}
    return render("report.html", evaluation, pictures=uris)


def markdown_page(evaluation: Evaluation, pictures: Sequence[str]) -> str:
    """Render the report as Markdown that names its pictures as files beside it."""
    return render("report.md", evaluation, pictures=pictures)


def render(template: str, evaluation: Evaluation, **values: Any) -> str:
    """Render a template of templates/report/ for an evaluation.

    HTML is escaped by the environment, Markdown by the filters that the template names.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "interval": formats.interval_text,
        "reasons": formats.reasons_text,
        "any_of": formats.any_of,
        "one_line": formats.one_line,
        "escape_markdown": formats.escape_markdown,
        "markdown_rows": formats.markdown_rows,
    }
    environment.globals |= {
        "disclaimer": disclaimer(),
        "doubtful_for": sorted(DOUBTED_FOR),
        "withheld_for": sorted(WITHHELD_FOR),
        "bundle": evaluation.bundle,
        "dataset": evaluation.dataset,
        "report": evaluation.report,
        "training": TrainingRecord.of(evaluation.bundle),
        "tables": list(tables_of(evaluation)),
    }

    def lines(name: str) -> list[str]:
        return environment.get_template(name).render().splitlines()

    def named(name: str) -> dict[str, str]:
        return dict(line.split(": ", 1) for line in lines(name))

    return environment.get_template(template).render(
        facts=named("facts.txt"),
        captions=named("captions.txt"),
        notes=lines("notes.txt"),
        **values,
    )
