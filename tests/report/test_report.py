"""utils.report: what is written is opened again and held against the evaluation."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from tests.support.bundles import tiny_bundle
from tests.support.trees import fracatlas_tree
from utils.datasets.image_cache import prepare_images
from utils.datasets.readers import read_dataset
from utils.errors import InputError
from utils.evaluation.evaluate import Evaluation, evaluate
from utils.evaluation.metrics import FIGURES
from utils.evaluation.strata import tables
from utils.inference.engine import load_engine
from utils.inference.predictor import DISCLAIMER
from utils.model.ood import CODES
from utils.report import write_report
from utils.report.plots import PLOTS, interval_text
from utils.report.samples import surest

PATIENTS = {"samples.png", "failures.png"}
CURVES = {"confusion.png", "roc.png", "precision_recall.png", "reliability.png"}
TEXTS = {"metrics.json", "predictions.csv", "report.html", "report.md"}


class Page(HTMLParser):
    """The parts of a page that the tests ask about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.links: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "img":
            self.images.append(named)
        self.links += [named[name] or "" for name in ("href", "src") if name in named]

    def handle_data(self, data: str) -> None:
        self.words += data + " "


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory) -> Evaluation:
    """An evaluation of drawn bones, with answers of every outcome."""
    folder = tmp_path_factory.mktemp("report")
    dataset = read_dataset(fracatlas_tree(folder / "data", per_class=10, size=(280, 220)))
    model = tiny_bundle(folder, doubt=(0.45, 0.55))
    prepared = prepare_images(dataset.samples, 64, folder / "cache")
    found = evaluate(load_engine(model), dataset, prepared, part="all", resamples=40)
    rng = np.random.default_rng(0)
    logit = (rng.normal(-0.8, 1.2, 20) + 1.6 * found.scored.labels).astype(np.float32)
    return answering(found, logit)


def answering(found: Evaluation, logit: np.ndarray) -> Evaluation:
    """The same evaluation with other answers, their figures computed as ever."""
    probability = found.bundle.calibration.probability(logit)
    scored = replace(found.scored, logit=logit, probability=probability)
    figures = tables(scored, found.bundle, resamples=40, seed=0)
    return replace(found, scored=scored, report={**found.report, **figures})


@pytest.fixture(scope="module")
def output(evaluation, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written") / "new" / "reports"
    write_report(evaluation, folder)
    return folder


@pytest.fixture(scope="module")
def page(output) -> Page:
    return Page((output / "report.html").read_text())


def test_everything_promised_is_written_and_named(evaluation, tmp_path):
    files = write_report(evaluation, tmp_path)
    names = {file.name for file in files}
    assert names == CURVES | TEXTS | PATIENTS
    assert {file.name for file in tmp_path.iterdir()} == names


@pytest.mark.parametrize("name", sorted(CURVES | PATIENTS))
def test_a_picture_is_a_png_that_shows_something(output, name):
    picture = Image.open(output / name)
    assert picture.format == "PNG"
    assert min(picture.size) > 600
    assert np.asarray(picture.convert("L")).std() > 10


def test_the_json_is_the_evaluations_report(evaluation, output):
    assert json.loads((output / "metrics.json").read_text()) == evaluation.report


def test_the_predictions_give_back_the_figures(evaluation, output):
    with (output / "predictions.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    right = [row["label"] == row["prediction"] for row in rows]
    figure = evaluation.report["images"]["figures"]["accuracy"]["value"]
    assert np.mean(right) == pytest.approx(figure)
    assert rows[0]["path"].startswith("images/")


def test_the_page_needs_no_other_file(page):
    assert page.links
    assert all(link.startswith("data:image/png;base64,") for link in page.links)


def test_the_page_holds_the_pictures_that_are_written_each_described(output, page):
    inside = {base64.b64decode(image["src"].split(",")[1]): image["alt"] for image in page.images}
    for name in CURVES | PATIENTS:
        assert len(inside[(output / name).read_bytes()]) > 20


def test_the_page_says_what_the_model_is_and_is_not(evaluation, page):
    bundle = evaluation.bundle
    for text in (
        DISCLAIMER,
        bundle.sha256,
        bundle.architecture,
        bundle.labels.meaning,
        evaluation.dataset.meaning,
        evaluation.dataset.attribution,
        bundle.chosen_by,
    ):
        assert text in page.words


@pytest.mark.parametrize("name", ["report.html", "report.md"])
def test_every_figure_stands_in_the_report_with_its_interval(evaluation, output, page, name):
    text = page.words if name == "report.html" else (output / name).read_text()
    for figure, words in FIGURES.items():
        assert words in text
        assert interval_text(evaluation.report["images"]["figures"][figure]) in text
    for title in ("By body region", "By view", "With and without hardware", "By image size"):
        assert title in text
    assert "Where the map points" in text


def test_the_markdown_shows_the_curves_beside_it_but_no_patient(output):
    text = (output / "report.md").read_text()
    assert set(re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)) == CURVES
    assert "samples" not in text
    assert "failures" not in text
    assert DISCLAIMER in text


def test_markdown_tables_have_the_same_columns_in_every_row(output):
    for block in (output / "report.md").read_text().split("\n\n"):
        if block.startswith("|"):
            widths = {len(re.split(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(widths) == 1


def test_without_samples_no_radiograph_is_in_anything_written(evaluation, output, tmp_path):
    write_report(evaluation, tmp_path)
    assert {file.name for file in tmp_path.iterdir()} >= PATIENTS
    files = write_report(evaluation, tmp_path, samples=False)
    # A picture of an earlier report is taken away too.
    assert {file.name for file in tmp_path.iterdir()} == CURVES | TEXTS
    assert {file.name for file in files} == CURVES | TEXTS
    without = Page((tmp_path / "report.html").read_text())
    assert len(without.images) == len(CURVES)
    for name in CURVES:
        assert (tmp_path / name).read_bytes() == (output / name).read_bytes()


def test_without_samples_the_radiographs_are_not_even_opened(evaluation, tmp_path):
    gone = replace(
        evaluation.scored,
        samples=tuple(
            replace(sample, path=tmp_path / "gone.png") for sample in evaluation.scored.samples
        ),
    )
    write_report(replace(evaluation, scored=gone), tmp_path / "out", samples=False)
    with pytest.raises(FileNotFoundError):
        write_report(replace(evaluation, scored=gone), tmp_path / "out")


def test_names_from_a_dataset_are_text_on_the_page_and_in_markdown(evaluation, tmp_path):
    nasty = "<script>alert(1)</script>|*x*"
    scored = replace(
        evaluation.scored,
        samples=tuple(
            replace(sample, region=nasty if sample.region == "hand" else sample.region)
            for sample in evaluation.scored.samples
        ),
    )
    figures = tables(scored, evaluation.bundle, resamples=0, seed=0)
    named = replace(evaluation, scored=scored, report={**evaluation.report, **figures})
    write_report(named, tmp_path, samples=False)
    assert "<script" not in (tmp_path / "report.html").read_text()
    assert "\\<script>alert(1)\\</script>\\|\\*x\\*" in (tmp_path / "report.md").read_text()
    assert nasty in Page((tmp_path / "report.html").read_text()).words


def test_a_part_of_one_class_is_reported_without_made_up_curves(evaluation, tmp_path):
    rows = np.flatnonzero(evaluation.scored.labels == 0)
    scored = replace(
        evaluation.scored,
        samples=tuple(evaluation.scored.samples[row] for row in rows),
        files=tuple(evaluation.scored.files[row] for row in rows),
        parts=tuple(evaluation.scored.parts[row] for row in rows),
        groups=tuple(evaluation.scored.groups[row] for row in rows),
        region=tuple(evaluation.scored.region[row] for row in rows),
        labels=evaluation.scored.labels[rows],
        logit=evaluation.scored.logit[rows],
        probability=evaluation.scored.probability[rows],
        maps=evaluation.scored.maps[rows],
    )
    figures = tables(scored, evaluation.bundle, resamples=20, seed=0)
    one = replace(evaluation, scored=scored, report={**evaluation.report, **figures})
    write_report(one, tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "| Area under the ROC curve | not defined |" in text
    names = "Area under the ROC curve, Calibration slope, Calibration intercept"
    assert f"All images: all images are of one class ({names})." in text


def test_a_column_without_images_says_so_once(evaluation, tmp_path):
    all_doubtful = answering(evaluation, np.zeros(20, np.float32))
    write_report(all_doubtful, tmp_path, samples=False)
    text = (tmp_path / "report.md").read_text()
    assert "Without doubtful answers: there are no images (every figure)." in text


STRANGERS = [
    {
        "folder": folder,
        "pictures": 40 - number,
        "refused": number,
        "certainty": {"definite": 1, "doubtful": 34 - number, "withheld": 5},
        "warnings": {**dict.fromkeys(CODES, 0), "unsupported_region": 37, "low_resolution": 2},
        "without_warning": 3,
    }
    for number, folder in enumerate(("chests", "photo_s"))
]


def test_answers_to_strangers_are_a_section_of_their_own_and_change_no_other(evaluation, tmp_path):
    told = replace(evaluation, report={**evaluation.report, "strangers": STRANGERS})
    write_report(evaluation, tmp_path / "without", samples=False)
    write_report(told, tmp_path / "with", samples=False)
    title = "## Pictures that are no supported radiographs"
    text = (tmp_path / "with" / "report.md").read_text()
    before, _, rest = text.partition(f"{title}\n\n")
    section, _, after = rest.partition("\n\n## ")
    assert f"{before}## {after}" == (tmp_path / "without" / "report.md").read_text()
    rows = {line.split("|")[1].strip(): line for line in section.splitlines() if "|" in line}
    assert rows[""] == "|  | chests | photo\\_s |"
    assert rows["pictures"] == "| pictures | 40 | 39 |"
    assert rows["definite answers"] == "| definite answers | 1 | 1 |"
    assert rows["doubtful answers"] == "| doubtful answers | 34 | 33 |"
    assert rows["withheld answers"] == "| withheld answers | 5 | 5 |"
    assert rows["unsupported\\_region"] == "| unsupported\\_region | 37 | 37 |"
    assert rows["no warning"] == "| no warning | 3 | 3 |"
    assert rows["files refused"] == "| files refused | 0 | 1 |"
    page = Page((tmp_path / "with" / "report.html").read_text())
    assert title[3:] in page.words
    assert "photo_s" in page.words
    assert json.loads((tmp_path / "with" / "metrics.json").read_text())["strangers"] == STRANGERS


def test_warnings_are_told_by_label_and_answers_by_how_certain_they_are(evaluation, tmp_path):
    labels = evaluation.scored.labels
    doubts = tuple(("unsupported_region",) if row == 1 else () for row in labels)
    doubts = (("not_a_radiograph",), *doubts[1:])
    scored = replace(evaluation.scored, doubts=doubts)
    figures = tables(scored, evaluation.bundle, resamples=0, seed=0)
    report = {**evaluation.report, **figures}
    write_report(replace(evaluation, scored=scored, report=report), tmp_path, samples=False)
    text = (tmp_path / "report.md").read_text()
    assert "| warning | of 20 | share | of 10 positive | share | of 10 negative | share |" in text
    n = int((labels[1:] == 1).sum())
    shares = f"| {n} | {n / 20:.3f} | {n} | {n / 10:.3f} | 0 | 0.000 |"
    assert f"| unsupported\\_region {shares}" in text
    assert "or warned of as" not in text
    doubtful = figures["certainty"]["doubtful"]
    assert f"or low\\_resolution or unsupported\\_region ({doubtful} images)" in text
    assert "- Withheld: answers to pictures warned of as not\\_a\\_radiograph (1 images)" in text


def test_a_folder_that_cannot_be_made_is_the_users_to_mend(evaluation, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        write_report(evaluation, tmp_path / "file", samples=False)


def test_a_file_that_cannot_be_replaced_is_the_users_to_mend(evaluation, tmp_path):
    (tmp_path / "metrics.json").mkdir()
    with pytest.raises(InputError, match="cannot be written to"):
        write_report(evaluation, tmp_path, samples=False)


def test_samples_are_the_surest_of_each_outcome_one_a_group(evaluation):
    scored = evaluation.scored
    pairs = replace(scored, groups=tuple(str(row // 2) for row in range(20)))
    chosen = surest(replace(evaluation, scored=pairs))
    called = scored.probability >= evaluation.bundle.threshold
    expected = {
        "found": (scored.labels == 1) & called,
        "missed": (scored.labels == 1) & ~called,
        "false alarm": (scored.labels == 0) & called,
        "rightly rejected": (scored.labels == 0) & ~called,
    }
    for kind, rows in chosen.items():
        assert rows
        assert expected[kind][rows].all()
        assert len({row // 2 for row in rows}) == len(rows) <= 3
        of_kind = scored.logit[expected[kind]]
        surest_logit = of_kind.max() if kind in ("found", "false alarm") else of_kind.min()
        assert scored.logit[rows[0]] == surest_logit


def test_the_same_evaluation_draws_the_same_bytes(evaluation):
    for draw in PLOTS.values():
        assert draw(evaluation) == draw(evaluation)


def test_the_roc_curve_is_drawn_where_the_figures_are(evaluation):
    perfect = answering(evaluation, np.where(evaluation.scored.labels == 1, 4, -4).astype("f4"))
    picture = np.asarray(Image.open(io.BytesIO(PLOTS["roc.png"](perfect))).convert("RGB"), int)
    blue = np.argwhere((np.abs(picture - [0, 114, 178]) < 40).all(axis=2))
    # Up the left edge and along the top: nothing of the curve is in the lower right quarter but its key.
    height, width = picture.shape[:2]
    upper_left = (blue[:, 0] < height * 0.7) & (blue[:, 1] > width * 0.2)
    assert len(blue) > 500
    assert (blue[upper_left][:, 0] < height * 0.15).all()


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        ({"value": 0.9124, "low": 0.8806, "high": 0.9395}, "0.912 (0.881 to 0.940)"),
        ({"value": 0.5, "low": None, "high": None}, "0.500"),
        ({"value": None, "low": None, "high": None}, "not defined"),
    ],
)
def test_a_figure_is_written_with_its_interval_or_said_to_be_undefined(figure, text):
    assert interval_text(figure) == text
