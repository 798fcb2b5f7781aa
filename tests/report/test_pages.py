"""utils.report.pages: the report as HTML and Markdown, read again."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests.support.evaluations import with_answers
from utils.evaluation.report_schema import FIGURES
from utils.inference.prediction import disclaimer
from utils.report.format import interval_text
from utils.report.pages import html_page, markdown_page
from utils.report.plots import PLOTS
from utils.report.samples import FAILURES, SAMPLES

PICTURES = {name: name.encode() for name in (*PLOTS, SAMPLES, FAILURES)}


class Page(HTMLParser):
    """Images, links and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "img":
            self.images.append(named)
        self.links += [named[name] or "" for name in ("href", "src") if name in named]

    def handle_data(self, data: str) -> None:
        self.text += data + " "


@pytest.fixture(scope="module")
def page(evaluation) -> Page:
    return Page(html_page(evaluation, PICTURES))


@pytest.fixture(scope="module")
def markdown(evaluation) -> str:
    return markdown_page(evaluation, list(PLOTS))


def test_the_page_needs_no_other_file(page):
    assert page.links
    assert all(link.startswith("data:image/png;base64,") for link in page.links)


def test_the_page_holds_every_picture_described(page):
    inside = {base64.b64decode(image["src"].split(",")[1]): image["alt"] for image in page.images}
    for png in PICTURES.values():
        assert len(inside[png]) > 20


def test_the_page_identifies_model_data_and_decision(evaluation, page):
    bundle = evaluation.bundle
    for text in (
        disclaimer(),
        bundle.sha256,
        bundle.architecture,
        bundle.labels.meaning,
        evaluation.dataset.meaning,
        evaluation.dataset.attribution,
        bundle.chosen_by,
    ):
        assert text in page.text


def test_every_figure_stands_in_both_pages(evaluation, page, markdown):
    for text in (page.text, markdown):
        for name, words in FIGURES.items():
            assert words in text
            assert interval_text(getattr(evaluation.report.images.figures, name)) in text
        for title in ("By body region", "By view", "With and without hardware", "By image size"):
            assert title in text
        assert "Where the map points" in text


def test_markdown_shows_curves_but_no_patient(markdown):
    assert set(re.findall(r"!\[[^\]]+\]\(([^)]+)\)", markdown)) == set(PLOTS)
    assert "samples" not in markdown
    assert "failures" not in markdown
    assert disclaimer() in markdown


def test_markdown_rows_have_the_same_columns(markdown):
    for block in markdown.split("\n\n"):
        if block.startswith("|"):
            widths = {len(re.split(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(widths) == 1


def test_markup_in_a_dataset_stays_text(evaluation):
    nasty = "<script>alert(1)</script>|*x*"
    samples = tuple(
        replace(sample, region=nasty if sample.region == "hand" else sample.region)
        for sample in evaluation.scored.samples
    )
    named = with_answers(evaluation, samples=samples, resamples=0)
    page = html_page(named, {})
    assert "<script" not in page
    assert nasty in Page(page).text
    assert "\\<script>alert(1)\\</script>\\|\\*x\\*" in markdown_page(named, [])


def test_warned_answers_are_facts_of_the_report(evaluation):
    labels = evaluation.scored.labels
    others = tuple(("stretched",) if label else () for label in labels[1:])
    warned = with_answers(evaluation, input_warnings=(("not_a_radiograph",), *others), resamples=0)
    text = markdown_page(warned, [])
    doubtful = warned.report.certainty.doubtful
    assert f"or unlike\\_training or untested\\_body\\_part ({doubtful} images)" in text
    assert (
        "- Withheld: answers to pictures with the warning not\\_a\\_radiograph or several\\_radiographs"
        " or unsupported\\_region (1 images)" in text
    )
    assert "unsupported\\_region (0 images)" in markdown_page(evaluation, [])
