"""utils.report.format: intervals, reasons, Markdown."""

from __future__ import annotations

import pytest

from utils.evaluation.report_schema import Figure
from utils.report.format import any_of, escape_markdown, interval_text, markdown_rows, reasons_text


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Figure(value=0.9124, low=0.8806, high=0.9395), "0.912 (0.881 to 0.940)"),
        (Figure(value=0.5, low=None, high=None), "0.500"),
        (Figure(value=None, low=None, high=None), "not defined"),
    ],
)
def test_a_figure_is_written_with_its_interval(figure, text):
    assert interval_text(figure) == text


def test_reasons_without_images_are_left_out():
    assert reasons_text({"blank": 3, "odd": 0}, {"late": None, "cut": 1}) == "3 (blank); 1 (cut)"
    assert reasons_text({"blank": 0}) == "none"


def test_warning_codes_are_listed_sorted():
    assert any_of({"b", "a"}) == "`a` or `b`"


def test_markup_is_escaped_and_lines_are_joined():
    assert escape_markdown("<b>a\n|*x*|_`[\\") == "\\<b>a \\|\\*x\\*\\|\\_\\`\\[\\\\"


def test_cells_of_a_table_are_escaped():
    assert markdown_rows([("a|b", "c"), ("1", "")]) == "| a\\|b | c |\n| 1 |  |"
