"""utils.report.tables: every cell is a figure of the report."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.evaluations import with_answers, with_report
from utils.evaluation.report_schema import FIGURES, OODFolderRecord
from utils.inference.input_warnings import ANSWER_CODES
from utils.report.format import interval_text
from utils.report.tables import STRATA, STRATUM_FIGURES, Table, tables_of


def table(evaluation, title) -> Table:
    return {found.title: found for found in tables_of(evaluation)}[title]


def by_row(found: Table) -> dict[str, tuple[str, ...]]:
    return {row[0]: row[1:] for row in found.rows}


def test_every_overall_figure_has_its_interval(evaluation):
    found = by_row(table(evaluation, "Figures with 95 % intervals"))
    for name, words in FIGURES.items():
        assert found[words][0] == interval_text(getattr(evaluation.report.images.figures, name))


@pytest.mark.parametrize("division", ["region", "view", "hardware", "image_size"])
def test_figures_stand_by_stratum(evaluation, division):
    found = by_row(table(evaluation, STRATA[division]))
    for value, images in evaluation.report.strata[division].items():
        figures = [interval_text(getattr(images.figures, name)) for name in STRATUM_FIGURES]
        assert found[value] == (str(images.counts.n), str(images.counts.positive), *figures)


def test_predictive_values_stand_by_prevalence(evaluation):
    found = by_row(table(evaluation, "How often an answer is right, by prevalence"))
    for row, shown in zip(evaluation.report.predictive_values, ("3 %", "25 %"), strict=True):
        assert found[shown] == (interval_text(row.positive), interval_text(row.negative))


def test_localisation_stands_beside_chance(evaluation):
    found = by_row(table(evaluation, "Where the map points"))
    localisation = evaluation.report.localisation
    hits = interval_text(localisation.marked.pointing_game)
    assert found["images with marked lesions"][:2] == (str(localisation.marked.n), hits)
    assert found["by chance"][1:] == (f"{localisation.chance.value:.3f}",) * 3


def test_a_set_without_images_is_noted_once(evaluation):
    all_doubtful = with_answers(evaluation, logit=np.zeros(80, np.float32))
    note = table(all_doubtful, "Figures with 95 % intervals").note
    assert "Without doubtful answers: there are no images (every figure)." in note


def test_undefined_figures_of_one_class_are_noted(evaluation):
    scored = evaluation.scored
    negatives = scored.take(np.flatnonzero(scored.labels == 0))
    found = table(
        with_answers(replace(evaluation, scored=negatives)), "Figures with 95 % intervals"
    )
    assert by_row(found)["Area under the ROC curve"][0] == "not defined"
    names = "Area under the ROC curve, Calibration slope, Calibration intercept"
    assert f"All images: all images are of one class ({names})." in found.note


def test_input_warnings_are_counted_by_label(evaluation):
    labels = evaluation.scored.labels
    others = tuple(("unsupported_region",) if label else () for label in labels[1:])
    warned = with_answers(evaluation, input_warnings=(("not_a_radiograph",), *others), resamples=0)
    found = table(warned, "Input warnings")
    assert found.header == (
        "warning",
        "of 80",
        "share",
        "of 40 positive",
        "share",
        *(("of 40 negative", "share")),
    )
    n = int(labels[1:].sum())
    shares = (str(n), f"{n / 80:.3f}", str(n), f"{n / 40:.3f}", "0", "0.000")
    assert by_row(found)["unsupported_region"] == shares


FOLDERS = tuple(
    OODFolderRecord(
        folder=folder,
        pictures=40 - number,
        refused=number,
        certainty={"definite": 1, "doubtful": 34 - number, "withheld": 5},
        warnings={**dict.fromkeys(ANSWER_CODES, 0), "unsupported_region": 37, "low_resolution": 2},
        without_warning=3,
    )
    for number, folder in enumerate(("chests", "photo_s"))
)


def test_answers_to_ood_images_have_a_column_a_folder(evaluation):
    found = table(with_report(evaluation, ood_folders=FOLDERS), "Out-of-distribution images")
    assert found.header == ("", "chests", "photo_s")
    assert by_row(found) == {
        "pictures": ("40", "39"),
        "definite answers": ("1", "1"),
        "doubtful answers": ("34", "33"),
        "withheld answers": ("5", "5"),
        **dict.fromkeys(ANSWER_CODES, ("0", "0")),
        "unsupported_region": ("37", "37"),
        "low_resolution": ("2", "2"),
        "no warning": ("3", "3"),
        "files refused": ("0", "1"),
    }


def test_ood_images_change_no_other_table(evaluation):
    *others, last = tables_of(with_report(evaluation, ood_folders=FOLDERS))
    assert others == list(tables_of(evaluation))
    assert last.title == "Out-of-distribution images"
