"""utils.evaluation.evaluate: which images count, figures against scikit-learn."""

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

from tests.support.bundles import fixed_ood_detector, tiny_bundle
from tests.support.manifests import record_training_images
from tests.support.trees import folder_tree, fracatlas_tree, mura_tree
from utils.datasets.image_cache import prepare_images
from utils.datasets.readers import read_dataset
from utils.datasets.split import split_dataset
from utils.errors import BundleError, DatasetError
from utils.evaluation.evaluate import evaluate
from utils.evaluation.localisation import localise
from utils.evaluation.report_schema import Confusion, Counts
from utils.evaluation.strata import ScoredImages
from utils.inference.engines.engine import load_engine
from utils.inference.input_warnings import CERTAINTIES
from utils.inference.predictor import Predictor
from utils.model.ood import (
    NOT_A_RADIOGRAPH,
    STRETCHED,
    TURNED,
    UNLIKE_TRAINING,
    UNSUPPORTED_REGION,
    OODDetector,
)

pytestmark = pytest.mark.slow

SEED = 3


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A FracAtlas tree with one truncated file, and a model whose manifest is a split of it."""
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
    record_training_images(model, prepared, used, split=recorded)
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
    """The evaluation of everything outside the training manifest."""
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
    """A model with an empty training manifest."""
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


def test_the_test_part_is_of_the_recorded_split(world):
    found = evaluate(world["engine"], world["dataset"], world["prepared"], resamples=0)
    expected = [
        sample.id
        for sample, part in zip(world["prepared"].samples, world["split"].parts, strict=True)
        if part == "test"
    ]
    assert ids(found) == expected
    assert found.report.dataset.trained_on_these_data is True
    assert set(found.scored.parts) == {"test"}


def test_all_leaves_out_and_counts_training_images(world, whole):
    unseen = set(range(len(world["prepared"].samples))) - set(world["used"])
    assert ids(whole) == [world["prepared"].samples[row].id for row in sorted(unseen)]
    assert whole.report.left_out.training_images == len(world["used"])
    assert whole.report.left_out.near_duplicates == 0


def test_renamed_training_images_are_left_out(world, whole, tmp_path):
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


def test_altered_training_images_are_left_out(world, whole, tmp_path):
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


def test_training_images_alone_leave_nothing(world, tmp_path):
    model = tiny_bundle(tmp_path)
    record_training_images(model, world["prepared"], range(len(world["prepared"].samples)))
    with pytest.raises(DatasetError, match="nothing is left to evaluate"):
        evaluate(load_engine(model), world["dataset"], world["prepared"], part="all")


def test_an_altered_manifest_is_refused(world, tmp_path):
    model = tiny_bundle(tmp_path)
    engine = load_engine(model)
    model.with_suffix(".seen.json").write_text('{"sha256": [], "fingerprints": []}')
    with pytest.raises(BundleError, match=r"seen\.json"):
        evaluate(engine, world["dataset"], world["prepared"], part="all")


def test_foreign_data_need_a_test_part_or_all(world, foreign):
    with pytest.raises(DatasetError, match="marks no test part.*--part all"):
        evaluate(foreign, world["dataset"], world["prepared"])


def test_foreign_data_use_their_own_test_part(foreign, tmp_path):
    dataset, prepared = read(folder_tree(tmp_path / "data", per_class=4), tmp_path)
    found = evaluate(foreign, dataset, prepared, resamples=0)
    assert found.report.dataset.trained_on_these_data is False
    assert {name.split("/")[0] for name in ids(found)} == {"test"}
    assert found.report.images.counts.n == 4


def test_foreign_data_can_be_evaluated_whole(foreign, world):
    found = evaluate(foreign, world["dataset"], world["prepared"], part="all", resamples=0)
    assert len(ids(found)) == len(world["prepared"].samples)
    assert set(found.scored.parts) == {"unassigned"}


def test_probabilities_are_those_of_the_app(world, whole):
    predictor = Predictor(world["engine"])
    for row, sample in enumerate(whole.scored.samples):
        if whole.scored.files[row].truncated:
            continue
        prediction = predictor.predict(sample.path.read_bytes(), pictures=False)
        assert whole.scored.probability[row] == pytest.approx(prediction.probability, abs=1e-6)
        assert peak(whole.scored, row) == prediction.peak


def test_overall_figures_agree_with_scikit_learn(whole):
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


def test_every_division_counts_each_image_once(whole):
    n = whole.report.images.counts.n
    assert {"region", "view", "hardware", "truncated", "image_size"} == set(whole.report.strata)
    for way, of in whole.report.strata.items():
        assert sum(table.counts.n for table in of.values()) == n, way
        for table in of.values():
            counts = table.counts
            assert counts.positive + counts.negative == counts.n > 0
            assert sum(dict(table.confusion).values()) == counts.n


def test_hardware_and_truncated_files_are_left_out(whole):
    n = whole.report.images.counts.n
    hardware = sum(sample.hardware is True for sample in whole.scored.samples)
    assert hardware > 0
    assert whole.report.without_hardware.counts.n == n - hardware
    assert whole.report.without_truncated.counts.n == n - 1
    assert whole.report.strata["truncated"]["truncated"].counts.n == 1


def test_definite_figures_leave_out_the_doubtful_zone(whole):
    probability = whole.scored.probability
    definite = int(((probability < 0.49) | (probability >= 0.51)).sum())
    assert whole.report.definite.counts.n == definite < len(probability)


def test_the_pointing_game_uses_the_marked_boxes(whole):
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


def test_the_region_head_has_its_accuracy(whole):
    right = [
        predicted == sample.region
        for predicted, sample in zip(whole.scored.region, whole.scored.samples, strict=True)
    ]
    head = whole.report.region_head
    assert head.n == len(right)
    assert head.accuracy.value == pytest.approx(np.mean(right))


def test_the_report_has_no_path_of_the_disk(world, whole):
    text = whole.report.to_json()
    assert str(world["folder"]) not in text


def test_an_evaluation_is_reproducible(world, whole):
    again = evaluate(
        world["engine"],
        world["dataset"],
        world["prepared"],
        part="all",
        resamples=100,
        batch_size=5,
    )
    assert again.report == whole.report


def test_mura_is_evaluated_by_study_and_patient(foreign, tmp_path):
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


def detector_of_every_code(embeddings: np.ndarray) -> OODDetector:
    """A detector that gives many codes to some of these images, by directions of the embedding."""
    channels = embeddings.shape[1]
    middle = embeddings.mean(axis=0)
    none = fixed_ood_detector(channels=channels)
    borders = none.borders.copy()
    directions = np.linalg.svd(embeddings - middle, full_matrices=False)[2]
    named = {NOT_A_RADIOGRAPH: 0, TURNED: 1, STRETCHED: 2}
    for code, direction in named.items():
        borders[:, none.classifiers.index(code)] = directions[direction]
    whitening = np.eye(channels, dtype=np.float32)
    made = replace(none, mean=middle, whitening=whitening, borders=borders)
    shares = {UNLIKE_TRAINING: 0.2, UNSUPPORTED_REGION: 0.6, **dict.fromkeys(named, 0.7)}
    scores = made.scores(embeddings)
    limits = {code: float(np.quantile(scores[code], share)) for code, share in shares.items()}
    return replace(made, limits={**none.limits, **limits})


def test_certainties_are_those_of_the_app(tmp_path):
    dataset, prepared = read(fracatlas_tree(tmp_path / "data", size=(280, 220)), tmp_path)
    outputs = load_engine(tiny_bundle(tmp_path)).run(np.asarray(prepared.images))
    low, middle, high = (float(p) for p in np.quantile(expit(outputs.logit), [0.4, 0.5, 0.6]))
    ood_detector = detector_of_every_code(outputs.embedding)
    engine = load_engine(
        tiny_bundle(tmp_path, threshold=middle, doubt=(low, high), ood_detector=ood_detector)
    )
    found = evaluate(engine, dataset, prepared, part="all", resamples=0)
    predictor = Predictor(engine)
    answers = [
        predictor.predict(sample.path.read_bytes(), pictures=False)
        for sample in found.scored.samples
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


def test_named_images_give_equal_figures_elsewhere(tmp_path):
    root = fracatlas_tree(tmp_path / "data")
    dataset, prepared = read(root, tmp_path)
    split = split_dataset(dataset, prepared.thumbnails, seed=SEED)
    model = tiny_bundle(tmp_path)
    used = [row for row, part in enumerate(split.parts) if part != "test"]
    record_training_images(
        model, prepared, used, split={"seed": SEED, "fractions": [0.7, 0.15, 0.15]}
    )
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


def test_named_training_images_are_left_out(world, whole):
    samples = world["prepared"].samples
    known, unknown = samples[world["used"][0]].id, ids(whole)[0]
    options = {"part": "all", "resamples": 0}
    found = evaluate(
        world["engine"], world["dataset"], world["prepared"], only={known, unknown}, **options
    )
    assert ids(found) == [unknown]
    assert found.report.left_out.training_images == 1
    with pytest.raises(DatasetError, match="nothing is left"):
        evaluate(world["engine"], world["dataset"], world["prepared"], only={known}, **options)
    with pytest.raises(DatasetError, match="nothing is left"):
        evaluate(world["engine"], world["dataset"], world["prepared"], only=(), **options)
