"""utils.evaluation.ood: out-of-distribution samples, counted by the app's answers to them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.bundles import fixed_ood_detector, tiny_bundle
from tests.support.pictures import draw_radiograph, encode
from tests.support.trees import fracatlas_tree
from utils.datasets.image_cache import prepare_images
from utils.datasets.readers import read_dataset
from utils.errors import InputError
from utils.evaluation.evaluate import evaluate
from utils.evaluation.ood import evaluate_ood, find_ood_folders
from utils.inference.engines.engine import load_engine
from utils.inference.input_warnings import ANSWER_CODES
from utils.inference.predictor import Predictor
from utils.model.ood import NOT_A_RADIOGRAPH, STRETCHED

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of three pictures, one of them small and one below it, with a damaged file; and another."""
    root = tmp_path_factory.mktemp("ood")
    for name, side in (("walls/1.png", 300), ("walls/deep/2.png", 300), ("walls/small.png", 90)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encode(draw_radiograph(side, side)))
    whole = (root / "walls/1.png").read_bytes()
    (root / "walls/cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "walls/notes.txt").write_text("no picture")
    (root / "cut").mkdir()
    (root / "cut/only.png").write_bytes(whole[: len(whole) // 2])
    return root


def evaluated(folder, **options):
    """A predictor, and its evaluation on drawn bones."""
    dataset = read_dataset(fracatlas_tree(folder / "data", per_class=4))
    engine = load_engine(tiny_bundle(folder, **options))
    prepared = prepare_images(dataset.samples, 64, folder / "cache")
    return Predictor(engine), evaluate(engine, dataset, prepared, part="all", resamples=0)


@pytest.mark.parametrize(
    ("codes", "certainty"),
    [((), "definite"), ((STRETCHED,), "doubtful"), ((NOT_A_RADIOGRAPH,), "withheld")],
)
def test_samples_are_counted_by_warning_and_certainty(tmp_path, folders, codes, certainty):
    # Both codes of the distance share one score: the graver one implies the other.
    detector = fixed_ood_detector(*codes, *(["unlike_training"] if codes else []))
    predictor, evaluation = evaluated(
        tmp_path, threshold=0.3, doubt=(0.2, 0.4), ood_detector=detector, regions=()
    )
    found = evaluate_ood(evaluation, predictor, find_ood_folders([folders / "walls"]))
    (record,) = found.report.ood_folders
    assert (record.folder, record.pictures, record.refused) == ("walls", 3, 1)
    # One of the three has too few pixels, which makes a definite answer a doubtful one.
    expected = dict.fromkeys(("definite", "doubtful", "withheld"), 0) | {certainty: 3}
    if certainty == "definite":
        expected |= {"definite": 2, "doubtful": 1}
    assert dict(record.certainty) == expected
    assert record.warnings == {
        **{code: 3 * (code in codes) for code in ANSWER_CODES},
        "low_resolution": 1,
    }
    assert record.without_warning == (0 if codes else 2)
    answer = predictor.predict((folders / "walls/1.png").read_bytes())
    assert answer.certainty == certainty
    # Nothing else of the report is touched, and the evaluation itself is as it was.
    assert found.report.model_copy(update={"ood_folders": None}) == evaluation.report
    assert "strangers" not in evaluation.report.to_json()


def test_a_folder_of_damaged_files_is_counted(tmp_path, folders):
    predictor, evaluation = evaluated(tmp_path)
    found = evaluate_ood(
        evaluation, predictor, find_ood_folders([folders / "cut", folders / "walls"])
    )
    cut, walls = found.report.ood_folders
    assert (cut.folder, cut.pictures, cut.refused) == ("cut", 0, 1)
    assert set(dict(cut.certainty).values()) == {0}
    assert (walls.folder, walls.pictures) == ("walls", 3)


def test_the_evaluations_decision_sets_the_certainty(tmp_path, folders):
    predictor, evaluation = evaluated(tmp_path, threshold=0.3, doubt=(0.29, 0.31))
    sidecar = evaluation.bundle.sidecar
    decision = sidecar.decision.model_copy(update={"doubt": (0.2, 0.8)})
    local = replace(evaluation.bundle, sidecar=sidecar.model_copy(update={"decision": decision}))
    samples = find_ood_folders([folders / "walls"])
    # Random weights answer near one half: clear of the one zone, inside the other.
    # One of the three has too few pixels, and is doubtful whatever the zone.
    for given, doubtful in ((evaluation, 1), (replace(evaluation, bundle=local), 3)):
        (record,) = evaluate_ood(given, predictor, samples).report.ood_folders
        assert dict(record.certainty) == {
            "definite": 3 - doubtful,
            "doubtful": doubtful,
            "withheld": 0,
        }


def test_a_folder_without_images_is_an_input_error(tmp_path, folders):
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/notes.txt").write_text("no picture")
    for folder, message in (
        (tmp_path / "empty", "no image in the folder .*empty"),
        (tmp_path / "texts", "no image in the folder .*texts"),
        (tmp_path / "gone", "no folder .*gone"),
        (folders / "walls/1.png", "1.png is a file; give folders"),
    ):
        with pytest.raises(InputError, match=message):
            find_ood_folders([folders / "walls", folder])
