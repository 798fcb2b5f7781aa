"""utils.evaluation.evaluate and strata: which images count, figures against scikit-learn."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.special import expit
from sklearn import metrics as sk

from tests.support.bundles import tiny_bundle
from tests.support.manifests import mark_seen
from tests.support.trees import folder_tree, fracatlas_tree, mura_tree
from utils.datasets.image_cache import FileFacts, prepare_images
from utils.datasets.readers import read_dataset
from utils.datasets.sample import Sample
from utils.datasets.split import split_dataset
from utils.errors import BundleError, DatasetError
from utils.evaluation.evaluate import evaluate
from utils.evaluation.localisation import localise
from utils.evaluation.report_schema import Confusion, Counts
from utils.evaluation.strata import ScoredImages, by_study, longest_side_bin, tables
from utils.imaging.geometry import Box, Rectangle
from utils.inference.certainty import CERTAINTIES
from utils.inference.engine import load_engine
from utils.inference.predictor import Predictor
from utils.model.bundle import read_bundle
from utils.model.ood import CODES, OODDetector

SEED = 3


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A FracAtlas tree with one truncated file, and a model that says it trained on a split of it."""
    folder = tmp_path_factory.mktemp("evaluation")
    root = fracatlas_tree(folder / "data")
    cut = root / "images/Non_fractured/IMG0000001.jpg"
    cut.write_bytes(cut.read_bytes()[: int(cut.stat().st_size * 0.6)])
    dataset = read_dataset(root)
    prepared = prepare_images(dataset.samples, 64, folder / "cache")
    split = split_dataset(dataset, prepared.thumbnails, seed=SEED)
    whole = np.array([not file.truncated for file in prepared.files])
    used = [row for row, part in enumerate(split.parts) if part != "test" and whole[row]]
    model = tiny_bundle(folder, threshold=0.5, doubt=(0.49, 0.51))
    recorded = {"seed": SEED, "fractions": [0.7, 0.15, 0.15]}
    mark_seen(model, prepared, used, split=recorded)
    return {
        "folder": folder,
        "dataset": dataset,
        "prepared": prepared,
        "split": split,
        "used": used,
        "engine": load_engine(model),
    }


@pytest.fixture(scope="module")
def whole(world):
    """The evaluation of everything that the model has not seen."""
    return evaluate(
        world["engine"],
        world["dataset"],
        world["prepared"],
        part="all",
        resamples=100,
        batch_size=5,
    )


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A model that has seen nothing."""
    return load_engine(tiny_bundle(tmp_path_factory.mktemp("foreign"), seed=5))


def peak(scored: ScoredImages, row: int) -> tuple[int, int] | None:
    """The map's highest place, (x, y) in pixels of the original."""
    file = scored.files[row]
    return localise(scored.maps[row], scored.samples[row], file, scored.map_offset).peak


def ids(evaluation) -> list[str]:
    return [sample.id for sample in evaluation.scored.samples]


def read(root: Path, folder: Path):
    dataset = read_dataset(root)
    return dataset, prepare_images(dataset.samples, 64, folder / "cache")


def test_the_test_part_is_that_of_the_split_the_model_records(world):
    found = evaluate(world["engine"], world["dataset"], world["prepared"], resamples=0)
    expected = [
        sample.id
        for sample, part in zip(world["prepared"].samples, world["split"].parts, strict=True)
        if part == "test"
    ]
    assert ids(found) == expected
    assert found.report.dataset.trained_on_these_data is True
    assert set(found.scored.parts) == {"test"}


def test_all_is_everything_but_what_the_model_has_seen_which_is_counted(world, whole):
    unseen = set(range(len(world["prepared"].samples))) - set(world["used"])
    assert ids(whole) == [world["prepared"].samples[row].id for row in sorted(unseen)]
    assert whole.report.left_out.training_images == len(world["used"])
    assert whole.report.left_out.near_duplicates == 0


def test_seen_images_are_left_out_on_a_copy_under_other_names(world, whole, tmp_path):
    kept = set(ids(whole))
    for number, sample in enumerate(world["dataset"].samples):
        name = "fractured" if sample.label else "normal"
        target = tmp_path / "copy" / name / f"{100 + number}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(sample.path, target)
    dataset, prepared = read(tmp_path / "copy", tmp_path)
    found = evaluate(world["engine"], dataset, prepared, part="all", resamples=0)
    assert found.report.images.counts.n == len(kept)
    assert found.report.left_out.training_images == len(world["used"])


def test_seen_images_are_left_out_when_re_encoded_enlarged_and_mirrored(world, whole, tmp_path):
    for number, sample in enumerate(world["dataset"].samples):
        if sample.id.endswith("IMG0000001.jpg"):
            continue
        picture = cv2.imread(str(sample.path), cv2.IMREAD_GRAYSCALE)
        picture = cv2.resize(picture[:, ::-1], None, fx=1.5, fy=1.5)
        name = "fractured" if sample.label else "normal"
        target = tmp_path / "copy" / name / f"{number}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(target), picture)
    dataset, prepared = read(tmp_path / "copy", tmp_path)
    found = evaluate(world["engine"], dataset, prepared, part="all", resamples=0)
    left_out = found.report.left_out
    assert left_out.training_images == 0
    assert left_out.near_duplicates == len(world["used"])
    # The truncated file is not in the copy.
    assert found.report.images.counts.n == len(ids(whole)) - 1


def test_a_model_that_has_seen_everything_has_nothing_to_be_evaluated_on(world, tmp_path):
    model = tiny_bundle(tmp_path)
    mark_seen(model, world["prepared"], range(len(world["prepared"].samples)))
    with pytest.raises(DatasetError, match="nothing is left to evaluate"):
        evaluate(load_engine(model), world["dataset"], world["prepared"], part="all")


def test_an_altered_list_of_seen_images_is_refused(world, tmp_path):
    model = tiny_bundle(tmp_path)
    engine = load_engine(model)
    model.with_suffix(".seen.json").write_text('{"sha256": [], "fingerprints": []}')
    with pytest.raises(BundleError, match=r"seen\.json"):
        evaluate(engine, world["dataset"], world["prepared"], part="all")


def test_foreign_data_without_a_test_part_say_what_to_do(world, foreign):
    with pytest.raises(DatasetError, match="marks no test part.*--part all"):
        evaluate(foreign, world["dataset"], world["prepared"])


def test_foreign_data_with_a_test_part_of_their_own_use_that(foreign, tmp_path):
    dataset, prepared = read(folder_tree(tmp_path / "data", per_class=4), tmp_path)
    found = evaluate(foreign, dataset, prepared, resamples=0)
    assert found.report.dataset.trained_on_these_data is False
    assert {name.split("/")[0] for name in ids(found)} == {"test"}
    assert found.report.images.counts.n == 4


def test_foreign_data_are_evaluated_whole_on_request(foreign, world):
    found = evaluate(foreign, world["dataset"], world["prepared"], part="all", resamples=0)
    assert len(ids(found)) == len(world["prepared"].samples)
    assert set(found.scored.parts) == {"unassigned"}


def test_probabilities_are_those_the_app_gives_for_the_same_files(world, whole):
    reader = Predictor(world["engine"])
    for row, sample in enumerate(whole.scored.samples):
        if whole.scored.files[row].truncated:
            continue
        reading = reader.read(sample.path.read_bytes(), pictures=False)
        assert whole.scored.probability[row] == pytest.approx(reading.probability, abs=1e-6)
        assert peak(whole.scored, row) == reading.peak


def test_overall_figures_are_those_of_scikit_learn_on_the_predictions(whole):
    labels, probability = whole.scored.labels, whole.scored.probability
    figures = whole.report.images.figures
    assert figures.roc_auc.value == pytest.approx(sk.roc_auc_score(labels, probability))
    called = probability >= 0.5
    assert figures.accuracy.value == pytest.approx(sk.accuracy_score(labels, called))
    negative, positive = sk.confusion_matrix(labels, called).tolist()
    assert whole.report.images.confusion == Confusion(
        true_negative=negative[0],
        false_positive=negative[1],
        false_negative=positive[0],
        true_positive=positive[1],
    )


def test_every_way_to_divide_the_images_counts_each_once(whole):
    n = whole.report.images.counts.n
    assert {"region", "view", "hardware", "truncated", "image_size"} == set(whole.report.strata)
    for way, of in whole.report.strata.items():
        assert sum(table.counts.n for table in of.values()) == n, way
        for table in of.values():
            counts = table.counts
            assert counts.positive + counts.negative == counts.n > 0
            assert sum(dict(table.confusion).values()) == counts.n


def test_figures_stand_with_and_without_hardware_and_truncated_files(whole):
    n = whole.report.images.counts.n
    hardware = sum(sample.hardware is True for sample in whole.scored.samples)
    assert hardware > 0
    assert whole.report.without_hardware.counts.n == n - hardware
    assert whole.report.without_truncated.counts.n == n - 1
    assert whole.report.strata["truncated"]["truncated"].counts.n == 1


def test_figures_without_doubtful_answers_leave_out_the_doubtful_zone(whole):
    probability = whole.scored.probability
    definite = int(((probability < 0.49) | (probability >= 0.51)).sum())
    assert whole.report.definite.counts.n == definite < len(probability)


def test_the_peak_is_held_against_the_marked_boxes(whole):
    hits = marked = 0
    for row, sample in enumerate(whole.scored.samples):
        if sample.boxes:
            marked += 1
            place = peak(whole.scored, row)
            box = sample.boxes[0]
            hits += bool(
                place
                and box.x <= place[0] < box.x + box.width
                and box.y <= place[1] < box.y + box.height
            )
    found = whole.report.localisation
    assert found.marked.n == marked > 0
    assert found.marked.pointing_game.value == pytest.approx(hits / marked)
    # trees.fracatlas_tree: columns 14 to 57 of 72, rows 24 to 72 of 96, both ends as the source has them.
    assert found.chance.value == pytest.approx((43 / 72) * (48 / 96), abs=0.03)


def test_the_region_head_is_scored_on_the_regions_it_knows(whole):
    right = [
        predicted == sample.region
        for predicted, sample in zip(whole.scored.region, whole.scored.samples, strict=True)
    ]
    head = whole.report.region_head
    assert head.n == len(right)
    assert head.accuracy.value == pytest.approx(np.mean(right))


def test_the_report_is_json_without_nan_and_without_places_on_disk(world, whole):
    text = whole.report.to_json()
    assert str(world["folder"]) not in text


def test_the_same_evaluation_twice_is_the_same_report(world, whole):
    again = evaluate(
        world["engine"],
        world["dataset"],
        world["prepared"],
        part="all",
        resamples=100,
        batch_size=5,
    )
    assert again.report == whole.report


def test_mura_is_evaluated_by_study_with_patients_as_groups(foreign, tmp_path):
    root = mura_tree(tmp_path / "data", patients=12)
    dataset, prepared = read(root, tmp_path)
    found = evaluate(foreign, dataset, prepared, resamples=50)
    studies = found.report.studies
    # The official valid set: six patients of one study with two images.
    assert found.report.images.counts.n == 12
    assert studies.counts == Counts(n=6, positive=3, negative=3, groups=6)
    assert all("valid" in name for name in ids(found))
    means = found.scored.probability.reshape(6, 2).mean(axis=1)
    labels = found.scored.labels.reshape(6, 2)[:, 0]
    assert studies.figures.roc_auc.value == pytest.approx(sk.roc_auc_score(labels, means))
    assert found.report.localisation is None


def scored_by_hand(
    studies: list[str | None], labels: list[int], probability: list[float]
) -> ScoredImages:
    samples = tuple(
        Sample(Path(f"{row}.png"), f"{row}.png", label, f"g{row // 2}", study=study)
        for row, (study, label) in enumerate(zip(studies, labels, strict=True))
    )
    n = len(samples)
    return ScoredImages(
        samples=samples,
        files=(FileFacts("0" * 64, 80, 40, False, Rectangle(0, 0, 80, 40)),) * n,
        parts=("test",) * n,
        groups=tuple(sample.group for sample in samples),
        labels=np.array(labels),
        logit=np.zeros(n, np.float32),
        probability=np.array(probability),
        maps=np.zeros((n, 2, 2), np.float32),
        region=None,
    )


def test_pictures_that_are_doubted_are_counted_by_what_for(tmp_path):
    scored = scored_by_hand([None] * 4, [0, 1, 0, 1], [0.1, 0.9, 0.2, 0.8])
    bundle = read_bundle(tiny_bundle(tmp_path, regions=()))
    options = {"resamples": 0, "seed": 0}
    assert tables(scored, bundle, **options).input_warnings is None
    told = (("unsupported_region", "inverted"), (), ("unsupported_region",), ())
    found = tables(replace(scored, input_warnings=told), bundle, **options).input_warnings
    assert found.n == 4
    assert {code: of.n for code, of in found.codes.items()} == {
        "unlike_training": 0,
        "unsupported_region": 2,
        "not_a_radiograph": 0,
        "inverted": 1,
    }
    assert found.codes["unsupported_region"].share.value == 0.5
    # The two with a warning are both negative.
    assert found.labels == {"positive": 2, "negative": 2}
    by_label = found.codes["unsupported_region"].by_label
    assert [by_label[label].n for label in ("positive", "negative")] == [0, 2]
    assert by_label["negative"].share.value == 1.0
    assert found.codes["inverted"].by_label["negative"].share.value == 0.5


def told_apart(embeddings: np.ndarray) -> OODDetector:
    """A familiarity that says each code of some of these pictures, by one direction of the embedding."""
    channels = embeddings.shape[1]
    middle = embeddings.mean(axis=0)
    borders = np.zeros((channels, 2), np.float32)
    borders[:, 0] = np.linalg.svd(embeddings - middle, full_matrices=False)[2][0]
    nothing = dict.fromkeys(CODES, 0.0)
    made = OODDetector(
        middle, np.eye(channels, dtype=np.float32), borders, np.zeros(2, np.float32), nothing
    )
    shares = dict(zip(CODES, (0.2, 0.4, 0.5, 1.0), strict=True))
    scores = made.scores(embeddings)
    limits = {code: float(np.quantile(scores[code], share)) for code, share in shares.items()}
    return replace(made, limits=limits)


def test_doubtful_and_withheld_answers_are_those_the_app_gives(tmp_path):
    dataset, prepared = read(fracatlas_tree(tmp_path / "data", size=(280, 220)), tmp_path)
    outputs = load_engine(tiny_bundle(tmp_path)).run(np.asarray(prepared.images))
    low, middle, high = (float(p) for p in np.quantile(expit(outputs.logit), [0.4, 0.5, 0.6]))
    ood_detector = told_apart(outputs.embedding)
    engine = load_engine(
        tiny_bundle(tmp_path, threshold=middle, doubt=(low, high), ood_detector=ood_detector)
    )
    found = evaluate(engine, dataset, prepared, part="all", resamples=0)
    reader = Predictor(engine)
    answers = [
        reader.read(sample.path.read_bytes(), pictures=False) for sample in found.scored.samples
    ]
    given = Counter(answer.certainty for answer in answers)
    assert dict(found.report.certainty) == given
    assert min(given[name] for name in CERTAINTIES) > 0
    # Some are doubtful for their warning alone.
    doubtful = [answer for answer in answers if answer.certainty == "doubtful"]
    assert any(not low <= answer.probability < high for answer in doubtful)
    definite = found.report.definite
    assert definite.counts.n == given["definite"]
    called = [a.prediction for a in answers if a.certainty == "definite"].count("Fracture Detected")
    assert definite.confusion.true_positive + definite.confusion.false_positive == called


def test_images_that_are_named_alone_give_the_same_figures_in_a_larger_edition(tmp_path):
    root = fracatlas_tree(tmp_path / "data")
    dataset, prepared = read(root, tmp_path)
    split = split_dataset(dataset, prepared.thumbnails, seed=SEED)
    model = tiny_bundle(tmp_path)
    used = [row for row, part in enumerate(split.parts) if part != "test"]
    mark_seen(model, prepared, used, split={"seed": SEED, "fractions": [0.7, 0.15, 0.15]})
    engine = load_engine(model)
    before = evaluate(engine, dataset, prepared, resamples=50)
    # A copy of a test image under a name that comes first moves its group, one in the other class makes
    # both contradictory, and others are new.
    first, second = (s for s in before.scored.samples[:2])
    for number, (source, label) in enumerate([(first, first.label), (second, 1 - second.label)]):
        _add(root, f"IMG000000{number}a.jpg", source.path, label)
    larger, more = read(root, tmp_path)
    only = frozenset(ids(before))
    assert ids(evaluate(engine, larger, more, resamples=0)) != ids(before)
    again = evaluate(engine, larger, more, only=only, resamples=50)
    for name in ("images", "without_hardware", "definite", "strata", "localisation", "certainty"):
        assert getattr(again.report, name) == getattr(before.report, name)
    assert again.report.dataset.trained_on_these_data is True
    assert again.report.left_out.not_named == len(larger.samples) - len(only)
    assert "not_named" not in before.report.left_out.model_dump()


def _add(root: Path, name: str, source: Path, label: int) -> None:
    """Add a copy of a picture to a drawn FracAtlas."""
    folder = "Fractured" if label else "Non_fractured"
    shutil.copy(source, root / "images" / folder / name)
    with (root / "dataset.csv").open("a") as table:
        table.write(f"{name},1,0,0,0,0,0,0,{label},{label},1,0,0\n")
    marks = (root / "Annotations" / "PASCAL VOC" / f"{source.stem}.xml").read_text()
    target = root / "Annotations" / "PASCAL VOC" / f"{Path(name).stem}.xml"
    target.write_text(marks.replace(source.name, name))


def test_of_images_that_are_named_those_the_model_has_seen_are_left_out_all_the_same(world, whole):
    samples = world["prepared"].samples
    seen, unseen = samples[world["used"][0]].id, ids(whole)[0]
    options = {"part": "all", "resamples": 0}
    found = evaluate(
        world["engine"], world["dataset"], world["prepared"], only={seen, unseen}, **options
    )
    assert ids(found) == [unseen]
    assert found.report.left_out.training_images == 1
    with pytest.raises(DatasetError, match="nothing is left"):
        evaluate(world["engine"], world["dataset"], world["prepared"], only={seen}, **options)
    with pytest.raises(DatasetError, match="nothing is left"):
        evaluate(world["engine"], world["dataset"], world["prepared"], only=(), **options)


def test_a_study_has_the_mean_probability_and_is_positive_if_any_image_is():
    scored = scored_by_hand(["b", "b", "a", None, "a"], [0, 1, 0, 1, 0], [0.2, 0.6, 0.1, 0.9, 0.5])
    labels, probability, groups = by_study(scored)
    assert labels.tolist() == [0, 1]
    np.testing.assert_allclose(probability, [0.3, 0.4])
    assert groups == ("g1", "g0")


def test_images_without_studies_make_none():
    assert by_study(scored_by_hand([None, None], [0, 1], [0.2, 0.8])) is None


def test_an_empty_map_is_a_miss_of_the_pointing_game(whole):
    scored = scored_by_hand([None] * 4, [1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1])
    boxed = tuple(
        replace(sample, boxes=(Box(0, 0, 40, 40),)) if sample.label else sample
        for sample in scored.samples
    )
    maps = scored.maps.copy()
    # 80 by 40 pixels in a square of 2 by 2 cells: the upper half of the picture.
    maps[0, 0, :] = 1.0
    found = tables(replace(scored, samples=boxed, maps=maps), whole.bundle, resamples=0, seed=0)
    assert peak(replace(scored, maps=maps), 1) is None
    assert found.localisation.marked.pointing_game.value == 0.5
    assert found.localisation.chance.value == 0.5


@pytest.mark.parametrize(
    ("height", "width", "name"),
    [
        (512, 100, "up to 512 px"),
        (100, 513, "513 to 1024 px"),
        (1024, 1024, "513 to 1024 px"),
        (2048, 3, "1025 to 2048 px"),
        (2049, 3, "over 2048 px"),
    ],
)
def test_sizes_are_binned_by_the_longest_side(height, width, name):
    assert (
        longest_side_bin(FileFacts("", height, width, False, Rectangle(0, 0, height, width)))
        == name
    )
