"""utils.report.card: the card shows the report's figures and the sidecar's training record."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.support.evaluations import ARGS, with_answers, with_report, with_sidecar, with_training
from utils.evaluation.recalibration import fit_recalibration
from utils.evaluation.report_schema import FIGURES, OODFolderRecord
from utils.inference.input_warnings import ANSWER_CODES
from utils.inference.prediction import disclaimer
from utils.model.architectures import DEFAULT_ARCHITECTURE
from utils.model.sidecar import OODSection
from utils.report.card import card_page
from utils.report.format import interval_text

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def card(evaluation) -> str:
    return card_page(evaluation)


def section(card: str, title: str) -> str:
    return card.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    return [
        [cell.strip().replace("\\_", "_") for cell in line.strip("| ").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]


def training(evaluation, **record: object) -> str:
    """How the card describes a training that the sidecar records this of as well."""
    return section(card_page(with_training(evaluation, **record)), "How it was trained")


def test_every_overall_figure_is_the_reports(evaluation, card):
    found = {row[0]: row[1] for row in rows(section(card, "Figures")) if len(row) > 1}
    for name, words in FIGURES.items():
        assert found[words] == interval_text(getattr(evaluation.report.images.figures, name))


def test_the_summary_is_the_reports(evaluation, card):
    report = evaluation.report
    found = dict(rows(section(card, "In short"))[2:])
    assert found["area under the ROC curve"] == interval_text(report.images.figures.roc_auc)
    hits = interval_text(report.localisation.marked.pointing_game)
    assert found["highest point of the map inside a lesion"] == hits
    assert f"{report.images.counts.n} radiographs" in card
    assert evaluation.bundle.sha256 in card


@pytest.mark.parametrize("division", ["region", "view", "hardware"])
def test_figures_stand_by_stratum(evaluation, card, division):
    found = {row[0]: row[1:4] for row in rows(section(card, "Figures")) if len(row) > 4}
    for value, images in evaluation.report.strata[division].items():
        sensitivity = interval_text(images.figures.sensitivity)
        assert found[value] == [str(images.counts.n), str(images.counts.positive), sensitivity]


def test_predictive_values_stand_by_prevalence(evaluation, card):
    found = {row[0]: row[1:] for row in rows(section(card, "Figures"))}
    for row, shown in zip(evaluation.report.predictive_values, ("3 %", "25 %"), strict=True):
        assert found[shown] == [interval_text(row.positive), interval_text(row.negative)]


def test_ranking_stands_without_hardware(evaluation, card):
    found = dict(rows(section(card, "In short"))[2:])
    without = evaluation.report.without_hardware.figures
    for name, words in (
        ("roc_auc", "area under the ROC curve"),
        ("average_precision", "average precision"),
    ):
        assert found[f"{words}, without hardware"] == interval_text(getattr(without, name))
        assert found[f"{words}, without hardware"] != found[words]
    bare = card_page(with_report(evaluation, without_hardware=None))
    assert "hardware" not in section(bare, "In short")


def test_failures_are_the_most_confident_errors(evaluation, card):
    scored = evaluation.scored
    failures = section(card, "Failures")
    missed = rows(failures.split("### False alarm")[0])[2:]
    alarms = rows(failures.split("### False alarm")[1])[2:]
    wrong = [
        (scored.probability[row], scored.samples[row].id, scored.labels[row])
        for row in range(len(scored.labels))
        if (scored.probability[row] >= 0.5) != scored.labels[row]
    ]
    lowest = sorted((p, name) for p, name, label in wrong if label == 1)[:9]
    highest = sorted((-p, name) for p, name, label in wrong if label == 0)[:9]
    assert missed
    assert [row[:2] for row in missed] == [[name, f"{p:.3f}"] for p, name in lowest]
    assert [row[:2] for row in alarms] == [[name, f"{-p:.3f}"] for p, name in highest]


def test_without_errors_no_failure_is_listed(evaluation):
    perfect = with_answers(evaluation, logit=8.0 * evaluation.scored.labels - 4.0)
    assert section(card_page(perfect), "Failures").count("None.") == 2


def test_the_training_has_command_time_and_commit(card):
    found = section(card, "How it was trained")
    assert "Minutes: 12.3" in found
    assert "Commit: abc1234" in found
    assert "Keras:" in found
    assert "```sh\npython train.py --data data/fracatlas" in found


def test_a_commit_of_the_bundle_alone_is_named(evaluation):
    assert "that made the bundle" not in training(evaluation, finished_commit="abc1234")
    found = training(evaluation, finished_commit="def5678")
    assert "- Commit: abc1234\n- Commit that made the bundle: def5678\n" in found


def test_the_weight_file_has_its_checksum(evaluation):
    assert "weight file" not in training(evaluation, weights_sha256=None)
    found = training(evaluation, weights_sha256="0f" * 32)
    assert f"SHA-256 of the weight file it began with: {'0f' * 32}\n" in found


def test_a_note_is_quoted_as_plain_text(evaluation):
    assert "Note:" not in training(evaluation, note="")
    found = training(evaluation, note="0.91 <b>chosen</b> after\n# the *test* part")
    assert found.rstrip().endswith("Note: 0.91 \\<b>chosen\\</b> after # the \\*test\\* part")


def test_another_network_than_the_default_is_noted(card):
    assert f"The default network of `train.py` is {DEFAULT_ARCHITECTURE}" in card
    assert "docs/experiments.md" in card
    assert (ROOT / "docs" / "experiments.md").is_file()


def test_the_split_stands_with_what_was_left_out(card):
    found = section(card, "Splits and leakage")
    assert rows(found)[2:] == [["train", "31", "7", "29"]]
    assert "5 (the same picture stands in both classes); 4 (files that end early)" in found


def test_sources_and_licences_are_named(evaluation, card):
    assert "three hospitals in Bangladesh" in section(card, "Data")
    assert "random weights" in section(card, "Data")
    assert evaluation.dataset.meaning.split(";")[0] in section(card, "What the labels mean")
    record = {
        "args": {**ARGS, "weights": "imagenet"},
        "attribution": evaluation.dataset.attribution,
    }
    found = section(card_page(with_training(evaluation, **record)), "Data")
    assert "CC BY 4.0" in found
    assert "Russakovsky" in found


def test_the_ood_detectors_sources_are_named(evaluation, card):
    assert "vultilion" not in card
    detector = OODSection(classifiers=(), limits={}, false_alarms={})
    found = section(card_page(with_sidecar(evaluation, ood_detector=detector)), "Data")
    assert "CC BY 2.0: china.jpg by danielbuechele, flower.jpg by vultilion" in found


def test_bundles_it_builds_on_are_named(evaluation):
    card = card_page(with_training(evaluation, built_on=["0123abcd"]))
    assert "`0123abcd`" in section(card, "Data")


def test_the_card_states_its_limits(card):
    assert f"> {disclaimer()}" in card
    assert "no medical device" in section(card, "Out of scope")
    for word in ("Patients", "Other hospitals", "Children"):
        assert f"- {word}" in section(card, "What was not tested")


def test_every_claim_item_is_answered_in_the_card(card):
    found = rows(section(card, "CLAIM"))[2:]
    assert [int(row[0]) for row in found] == list(range(1, 43))
    titles = re.findall(r"^##+ (.+)$", card, re.MULTILINE)
    for _, _, where in found:
        for named in re.findall(r"[\w/]+\.(?:md|py|lock)", where):
            assert (ROOT / named).exists(), named
        first = re.split(r"[:;,]", where)[0]
        if first[0].isupper() and not first.startswith(("In short says", "Figures by", "README")):
            assert first in titles, where


def test_answers_in_the_doubtful_zone_are_counted(evaluation, card):
    p = evaluation.scored.probability
    warned = np.array([bool(codes) for codes in evaluation.scored.input_warnings])
    doubtful = int((((p >= 0.45) & (p < 0.55)) | warned).sum())
    found = section(card, "The decision")
    assert "Doubtful from 0.4500 to below 0.5500, or with the warning `clipped` or " in found
    assert f": {doubtful} of the 80 images" in found


def test_warned_answers_count_as_in_the_app(evaluation):
    n = len(evaluation.scored.samples)
    codes = (("not_a_radiograph",), *[("stretched",)] * (n - 2), ())
    warned = with_answers(
        evaluation, input_warnings=codes, probability=np.full(n, 0.9), resamples=0
    )
    found = section(card_page(warned), "The decision")
    assert f"or `unlike_training` or `untested_body_part`: {n - 2} of the {n} images" in found
    assert f"or `unsupported_region`: 1 of the {n} images" in found


def test_ood_answers_stand_among_the_figures(evaluation, card):
    title = "### Out-of-distribution images"
    assert title not in card
    record = OODFolderRecord(
        folder="walls",
        pictures=7,
        refused=2,
        certainty={"definite": 4, "doubtful": 3, "withheld": 0},
        warnings=dict.fromkeys(ANSWER_CODES, 0),
        without_warning=4,
    )
    found = section(card_page(with_report(evaluation, ood_folders=(record,))), "Figures")
    cells = dict(row for row in rows(found.split(title)[1]) if len(row) == 2)
    assert (cells["definite answers"], cells["files refused"]) == ("4", "2")


@pytest.mark.slow
def test_a_decision_fitted_elsewhere_is_stated(evaluation):
    local = fit_recalibration(evaluation, recalibrate=True, sensitivity=0.9, seed=0)
    card = card_page(local.evaluation)
    n = len(local.fitting.samples)
    brier = local.evaluation.report.recalibration.figures_on_the_fitting_part.brier
    fitted = section(card, "Figures").split("fitted on\n")[1]
    assert f"| Brier score | {interval_text(brier)} |" in fitted
    decision = section(card, "The decision")
    assert f"calibration and threshold fitted on {n} images (" in decision


def test_the_card_is_deterministic_without_pictures(evaluation, card):
    assert card_page(evaluation) == card
    assert "![" not in card
    assert "data:image" not in card
