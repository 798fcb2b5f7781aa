"""utils.report.card: the card's numbers are the report's, its command is the training's."""

from __future__ import annotations

import re
import shlex
from dataclasses import asdict, replace

import numpy as np
import pytest

from tests.support.bundles import tiny_bundle
from tests.support.trees import fracatlas_tree
from tests.test_project import ROOT, _flags_of
from train import parser, plan_of
from utils.datasets.image_cache import prepare_images
from utils.datasets.readers import read_dataset
from utils.errors import InputError
from utils.evaluation.evaluate import Evaluation, evaluate
from utils.evaluation.metrics import FIGURES
from utils.evaluation.recalibration import fit_recalibration
from utils.evaluation.strata import tables
from utils.inference.engine import load_engine
from utils.inference.predictor import DISCLAIMER
from utils.model.architectures import DEFAULT_ARCHITECTURE
from utils.model.ood import CODES
from utils.model.sidecar import OODSection
from utils.report import write_card
from utils.report.card import card_page, training_command
from utils.report.card_text import CLAIM
from utils.report.plots import interval_text

PLAN = plan_of(
    parser().parse_args(
        ["--model", "custom", "--epochs", "3", "--no_augmentation", "--learning_rate", "3e-4"]
    )
)


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory) -> Evaluation:
    """An evaluation of drawn bones by a model that says how it was trained, with errors of both kinds."""
    folder = tmp_path_factory.mktemp("card")
    dataset = read_dataset(fracatlas_tree(folder / "data", per_class=40, size=(280, 220)))
    engine = load_engine(tiny_bundle(folder, doubt=(0.45, 0.55)))
    prepared = prepare_images(dataset.samples, 64, folder / "cache")
    found = evaluate(engine, dataset, prepared, part="all", resamples=30)
    logit = np.random.default_rng(0).normal(1.8 * found.scored.labels - 0.9, 1.2)
    logit = logit.astype(np.float32)
    probability = np.asarray(found.bundle.calibration.probability(logit))
    scored = replace(found.scored, logit=logit, probability=probability)
    training = {
        **found.bundle.training,
        "dataset": "fracatlas",
        "args": asdict(PLAN),
        "minutes": 12.3,
        "commit": "abc1234",
        "counts": {
            "seed": 0,
            "parts": {"train": {"groups": 29}},
            "used": {"train": {"images": 31, "positive": 7}},
            "dropped": {"the same picture stands in both classes": 5},
            "truncated_left_out": 4,
            "unreadable": 0,
        },
    }
    bundle = replace(
        found.bundle, sidecar=found.bundle.sidecar.model_copy(update={"training": training})
    )
    figures = tables(scored, bundle, resamples=30, seed=0, prevalences=(0.03, 0.25))
    return replace(found, bundle=bundle, scored=scored, report={**found.report, **figures})


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


def test_every_overall_figure_is_the_reports(evaluation, card):
    found = {row[0]: row[1] for row in rows(section(card, "Figures")) if len(row) > 1}
    for name, words in FIGURES.items():
        assert found[words] == interval_text(evaluation.report["images"]["figures"][name])


def test_the_summary_is_the_reports(evaluation, card):
    found = dict(rows(section(card, "In short"))[2:])
    figures = evaluation.report["images"]["figures"]
    assert found["area under the ROC curve"] == interval_text(figures["roc_auc"])
    marked = evaluation.report["localisation"]["marked"]["pointing_game"]
    assert found["highest point of the map inside a lesion"] == interval_text(marked)
    counts = evaluation.report["images"]["counts"]
    assert f"{counts['n']} radiographs" in card
    assert evaluation.bundle.sha256 in card


@pytest.mark.parametrize("way", ["region", "view", "hardware"])
def test_figures_stand_by_kind_of_image(evaluation, card, way):
    found = {row[0]: row[1:4] for row in rows(section(card, "Figures")) if len(row) > 4}
    for value, table in evaluation.report["by"][way].items():
        counts = table["counts"]
        sensitivity = interval_text(table["figures"]["sensitivity"])
        assert found[value] == [str(counts["n"]), str(counts["positive"]), sensitivity]


def test_predictive_values_stand_at_the_prevalences_asked_for(evaluation, card):
    found = {row[0]: row[1:] for row in rows(section(card, "Figures"))}
    for row, shown in zip(evaluation.report["predictive_values"], ("3 %", "25 %"), strict=True):
        assert found[shown] == [interval_text(row["positive"]), interval_text(row["negative"])]


def test_the_surest_wrong_answers_are_listed_with_their_probabilities(evaluation, card):
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


def test_the_training_is_told_with_its_command_time_and_commit(card):
    told = section(card, "How it was trained")
    assert "Minutes: 12.3" in told
    assert "Commit: abc1234" in told
    assert "Keras:" in told
    command = re.search(r"```sh\n(.*?)```", told, re.DOTALL)[1].replace("\\\n", " ")
    words = shlex.split(command)
    assert words[:2] == ["python", "train.py"]
    assert plan_of(parser().parse_args(words[2:])) == PLAN
    assert all(len(line) <= 100 for line in told.splitlines() if line.startswith("    "))


def test_a_command_splits_as_a_bundle_did_whose_split_had_no_seed_of_its_own():
    args = {name: value for name, value in asdict(PLAN).items() if name != "split_seed"}
    words = shlex.split(training_command({**args, "seed": 3}, "mura"))
    plan = plan_of(parser().parse_args(words[2:]))
    assert (plan.seed, plan.split_seed) == (3, 3)


def describe_model(evaluation: Evaluation, **training: object) -> str:
    """What the card tells of a training that the sidecar says this of as well."""
    everything = {**evaluation.bundle.training, **training}
    sidecar = evaluation.bundle.sidecar.model_copy(update={"training": everything})
    told = card_page(replace(evaluation, bundle=replace(evaluation.bundle, sidecar=sidecar)))
    return section(told, "How it was trained")


def test_the_commit_that_made_the_bundle_is_told_where_another_one_trained_it(evaluation):
    assert "that made the bundle" not in describe_model(evaluation, finished_commit="abc1234")
    told = describe_model(evaluation, finished_commit="def5678")
    assert "- Commit: abc1234\n- Commit that made the bundle: def5678\n" in told


def test_the_weight_file_is_told_by_its_checksum(evaluation):
    assert "weight file" not in describe_model(evaluation, weights_sha256=None)
    told = describe_model(evaluation, weights_sha256="0f" * 32)
    assert f"SHA-256 of the weight file it began with: {'0f' * 32}\n" in told


def test_a_note_is_told_as_it_was_written(evaluation):
    assert "Note:" not in describe_model(evaluation, note="")
    told = describe_model(evaluation, note="0.91 <b>chosen</b> after\n# the *test* part")
    assert told.rstrip().endswith("Note: 0.91 \\<b>chosen\\</b> after # the \\*test\\* part")


def test_a_network_other_than_the_default_is_told_with_where_it_is_explained(card):
    assert f"The default network of `train.py` is {DEFAULT_ARCHITECTURE}" in card
    assert "docs/experiments.md" in card
    assert (ROOT / "docs" / "experiments.md").is_file()


def test_a_command_names_flags_that_exist_and_no_place_on_a_machine():
    command = training_command(
        {
            **asdict(PLAN),
            "weights": "../else/where/teacher.h5",
            "mixed_precision": True,
            "region": ["wrist", "hand"],
        },
        "mura",
    )
    assert "--region wrist hand" in command
    assert "--region " not in training_command({**asdict(PLAN), "region": []}, "mura")
    assert "--weights teacher.h5" in command
    assert "--mixed_precision" in command
    assert set(re.findall(r"--\w+", command)) <= _flags_of("train")


def test_the_split_is_told_with_what_was_left_out(card):
    told = section(card, "Splits and leakage")
    assert rows(told)[2:] == [["train", "31", "7", "29"]]
    assert "5 (the same picture stands in both classes); 4 (files that end early)" in told


def test_sources_and_licences_are_named(evaluation, card):
    assert "three hospitals in Bangladesh" in section(card, "Data")
    assert "random weights" in section(card, "Data")
    assert evaluation.dataset.meaning.split(";")[0] in section(card, "What the labels mean")
    args = {**asdict(PLAN), "weights": "imagenet"}
    training = {
        **evaluation.bundle.training,
        "args": args,
        "attribution": evaluation.dataset.attribution,
    }
    sidecar = evaluation.bundle.sidecar.model_copy(update={"training": training})
    told = card_page(replace(evaluation, bundle=replace(evaluation.bundle, sidecar=sidecar)))
    assert "CC BY 4.0" in section(told, "Data")
    assert "Russakovsky" in section(told, "Data")


def test_what_the_doubts_and_the_weights_came_from_is_named(evaluation, card):
    assert "vultilion" not in card
    section_of = OODSection(limits={}, false_alarms={})
    training = {**evaluation.bundle.training, "built_on": ["0123abcd"]}
    changes = {"training": training, "familiarity": section_of}
    sidecar = evaluation.bundle.sidecar.model_copy(update=changes)
    told = card_page(replace(evaluation, bundle=replace(evaluation.bundle, sidecar=sidecar)))
    assert "CC BY 2.0: china.jpg by danielbuechele, flower.jpg by vultilion" in section(
        told, "Data"
    )
    assert "`0123abcd`" in section(told, "Data")


def test_the_card_says_what_it_is_not(card):
    assert f"> {DISCLAIMER}" in card
    assert "no medical device" in section(card, "Out of scope")
    for word in ("Patients", "Other hospitals", "Children"):
        assert f"- {word}" in section(card, "What was not tested")


def test_every_item_of_the_checklist_is_answered_by_something_that_is_there(card):
    found = rows(section(card, "CLAIM"))[2:]
    assert [int(row[0]) for row in found] == list(range(1, 43))
    titles = re.findall(r"^##+ (.+)$", card, re.MULTILINE)
    for _, _, where in CLAIM:
        for named in re.findall(r"[\w/]+\.(?:md|py|lock)", where):
            assert (ROOT / named).exists(), named
        first = re.split(r"[:;,]", where)[0]
        if first[0].isupper() and not first.startswith(("In short says", "Figures by", "README")):
            assert first in titles, where


def test_the_doubtful_zone_is_counted(evaluation, card):
    p = evaluation.scored.probability
    doubtful = int(((p >= 0.45) & (p < 0.55)).sum())
    assert f"Doubtful from 0.4500 to below 0.5500: {doubtful} of the 80 images" in card


def test_ranking_without_hardware_stands_beside_ranking_with_it(evaluation, card):
    found = dict(rows(section(card, "In short"))[2:])
    without = evaluation.report["without_hardware"]["figures"]
    for name, words in (
        ("roc_auc", "area under the ROC curve"),
        ("average_precision", "average precision"),
    ):
        assert found[f"{words}, without hardware"] == interval_text(without[name])
        assert found[f"{words}, without hardware"] != found[words]
    bare = {name: of for name, of in evaluation.report.items() if name != "without_hardware"}
    assert "hardware" not in section(card_page(replace(evaluation, report=bare)), "In short")


def test_doubtful_and_withheld_answers_are_told_as_the_app_gives_them(evaluation):
    n = len(evaluation.scored.samples)
    doubts = (("not_a_radiograph",), *[("unsupported_region",)] * (n - 2), ())
    scored = replace(evaluation.scored, doubts=doubts, probability=np.full(n, 0.9))
    figures = tables(scored, evaluation.bundle, resamples=0, seed=0)
    told = section(
        card_page(
            replace(evaluation, scored=scored, report={**evaluation.report, **figures}),
        ),
        "The decision",
    )
    assert f"or `low_resolution` or `unsupported_region`: {n - 2} of the {n} images" in told
    assert f"warned of as `not_a_radiograph`: 1 of the {n} images" in told


def test_answers_to_strangers_stand_among_the_figures(evaluation, card):
    title = "### Pictures that are no supported radiographs"
    assert title not in card
    record = {
        "folder": "walls",
        "pictures": 7,
        "refused": 2,
        "certainty": {"definite": 4, "doubtful": 3, "withheld": 0},
        "warnings": dict.fromkeys(CODES, 0),
        "without_warning": 4,
    }
    report = {**evaluation.report, "strangers": [record]}
    told = section(card_page(replace(evaluation, report=report)), "Figures").split(title)[1]
    found = dict(row for row in rows(told) if len(row) == 2)
    assert (found["definite answers"], found["files refused"]) == ("4", "2")


def test_a_decision_fitted_elsewhere_is_told(evaluation):
    local = fit_recalibration(evaluation, recalibrate=True, sensitivity=0.9, seed=0)
    told = section(card_page(local.evaluation), "The decision")
    n = len(local.fitting.samples)
    fitted = local.evaluation.report["local_decision"]["figures_on_the_fitting_part"]["brier"]
    own = section(card_page(local.evaluation), "Figures").split("fitted on\n")[1]
    assert f"| Brier score | {interval_text(fitted)} |" in own
    assert f"calibration and threshold fitted on {n} images (" in told


def test_the_same_evaluation_gives_the_same_card_and_it_shows_no_picture(evaluation, card):
    assert card_page(evaluation) == card
    assert "![" not in card
    assert "data:image" not in card


def test_a_card_that_cannot_be_written_is_the_users_to_mend(evaluation, tmp_path):
    assert write_card(evaluation, tmp_path / "new" / "card.md").read_text() == card_page(evaluation)
    (tmp_path / "card.md").mkdir()
    with pytest.raises(InputError, match=r"card\.md"):
        write_card(evaluation, tmp_path / "card.md")
