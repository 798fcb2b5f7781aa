"""utils.training.decision.cross_validation: a run a fold, resumed fold by fold."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.trainings import CONFIG, train
from utils.datasets.folds import assign_folds, fold_training_set
from utils.datasets.training_set import TrainingSet
from utils.errors import InputError, SetupError
from utils.evaluation.training_figures import locate_peaks
from utils.gradcam import explain
from utils.model.bundle import read_bundle
from utils.model.calibration import fit_calibration
from utils.training.batches import run_network
from utils.training.decision.cross_validation import CrossValidation, cross_validate
from utils.training.decision.out_of_fold import MapPeak, read_table
from utils.training.trainer import Trainer

pytestmark = pytest.mark.slow

ONE_EPOCH = replace(CONFIG, epochs=1)
FOLDS = 3


def validate(data: TrainingSet, run: Path, **options: Any) -> CrossValidation:
    options = {"config": ONE_EPOCH, "locate_peaks": locate_peaks, **options}
    return cross_validate(data=data, run=run, folds=FOLDS, **options)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, data: TrainingSet) -> Path:
    """The folder of a finished cross-validation."""
    run = tmp_path_factory.mktemp("folds")
    assert validate(data, run, commit="first").outcome == "completed"
    return run


def copied(finished: Path, run: Path) -> Path:
    return Path(shutil.copytree(finished, run, dirs_exist_ok=True))


def times(run: Path) -> dict[str, int]:
    return {
        file.parent.name: file.stat().st_mtime_ns for file in run.glob("fold-*/last.weights.h5")
    }


def test_each_radiograph_is_scored_once(finished: Path, data: TrainingSet) -> None:
    used = np.concatenate([data.rows["train"], data.rows["validation"]])
    ids = [data.prepared.samples[row].id for row in used]
    assert [image.path for image in read_table(finished).images] == sorted(ids)


def test_no_group_is_in_two_folds(finished: Path) -> None:
    folds = {(image.group, image.fold) for image in read_table(finished).images}
    assert len(folds) == len({group for group, _ in folds})
    assert {fold for _, fold in folds} == {1, 2, 3}


def test_a_fold_is_scored_by_its_own_network(finished: Path, data: TrainingSet) -> None:
    part = fold_training_set(data, assign_folds(data, FOLDS), 2)
    trainer = Trainer(replace(ONE_EPOCH, keep="last"), part, finished / "fold-2")
    trainer.resume()
    images = [image for image in read_table(finished).images if image.fold == 2]
    row_of = {sample.id: row for row, sample in enumerate(data.prepared.samples)}
    rows = np.array([row_of[image.path] for image in images])
    assert not set(rows.tolist()) & set(part.rows["train"].tolist())
    outputs = run_network(
        explain(trainer.best_network()), ONE_EPOCH.spec, data.prepared.images, rows
    )
    logits = outputs["logit"].reshape(-1)
    np.testing.assert_allclose([image.logit for image in images], logits, atol=1e-5)


def test_hits_are_known_of_marked_images_alone(finished: Path, data: TrainingSet) -> None:
    marked = {sample.id for sample in data.prepared.samples if sample.boxes}
    for image in read_table(finished).images:
        assert (image.hit is not None) == (image.path in marked)


def test_finished_folds_are_not_repeated(tmp_path: Path, finished: Path, data: TrainingSet) -> None:
    run = copied(finished, tmp_path)
    before, table = times(run), (run / "out_of_fold.csv").read_bytes()
    assert validate(data, run, resume=True).outcome == "completed"
    assert times(run) == before
    assert (run / "out_of_fold.csv").read_bytes() == table


def test_an_interrupted_fold_is_resumed(tmp_path: Path, finished: Path, data: TrainingSet) -> None:
    """The table equals that of an uninterrupted run to the byte."""
    run = copied(finished, tmp_path)
    table = (run / "out_of_fold.csv").read_bytes()
    for name in ("out_of_fold.csv", "out_of_fold.json", "fold-2/held_out.csv"):
        (run / name).unlink()
    shutil.rmtree(run / "fold-3")
    before = times(run)
    found = validate(data, run, resume=True)
    assert (found.outcome, found.finished) == ("completed", FOLDS)
    assert before.items() < times(run).items()
    assert (run / "out_of_fold.csv").read_bytes() == table


def test_no_time_for_a_further_fold_is_no_fault(
    tmp_path: Path, finished: Path, data: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = copied(finished, tmp_path)
    for file in (run / "out_of_fold.csv", run / "fold-1" / "held_out.csv"):
        file.unlink()
    for fold in ("fold-2", "fold-3"):
        shutil.rmtree(run / fold)

    def use_up_the_time(*answers: Any) -> Sequence[MapPeak]:
        monkeypatch.setattr(Trainer, "_time_left", lambda trainer: -1.0)
        return locate_peaks(*answers)

    found = validate(data, run, resume=True, locate_peaks=use_up_the_time)
    assert (found.outcome, found.finished, found.table) == ("out of time", 1, None)
    assert not (run / "out_of_fold.csv").exists()
    # Else legs that are too short would never end.
    with pytest.raises(SetupError, match="not one epoch"):
        validate(data, run, resume=True)


def test_a_new_start_repeats_every_fold(tmp_path: Path, finished: Path, data: TrainingSet) -> None:
    run = copied(finished, tmp_path)

    def interrupt(*answers: Any) -> Sequence[MapPeak]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        validate(data, run, locate_peaks=interrupt)
    assert list(run.glob("fold-*/held_out.csv")) == []
    assert not (run / "out_of_fold.csv").exists()
    assert set(times(run)) == {"fold-1"}


def test_folds_of_other_settings_are_refused(
    tmp_path: Path, finished: Path, data: TrainingSet
) -> None:
    run = copied(finished, tmp_path)
    with pytest.raises(SetupError, match="had epochs 1, now it is 2"):
        validate(data, run, config=CONFIG, resume=True)


def test_a_fold_of_other_radiographs_is_refused(
    tmp_path: Path, finished: Path, data: TrainingSet
) -> None:
    scores = copied(finished, tmp_path) / "fold-1" / "held_out.csv"
    scores.write_text("\n".join(scores.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(SetupError, match="of other radiographs"):
        validate(data, tmp_path, resume=True)


def test_resuming_no_fold_is_refused(tmp_path: Path, data: TrainingSet) -> None:
    with pytest.raises(SetupError, match="no run to resume"):
        validate(data, tmp_path, resume=True)


def test_a_schedule_must_not_follow_the_held_out(tmp_path: Path, data: TrainingSet) -> None:
    with pytest.raises(InputError, match="cosine or constant"):
        validate(data, tmp_path, config=replace(ONE_EPOCH, schedule="plateau"))


def test_a_training_decides_by_the_table(tmp_path: Path, finished: Path, data: TrainingSet) -> None:
    table, model = read_table(finished), tmp_path / "m.h5"
    config = replace(ONE_EPOCH, keep="last", sensitivity=0.8)
    outcome = train(config, data, tmp_path / "run", model, out_of_fold=table)
    bundle = read_bundle(model)
    assert bundle.calibration == fit_calibration(table.scores.logits, table.scores.labels)
    found = bundle.calibration.probability(table.scores.logits[table.scores.labels == 1])
    assert (found >= bundle.threshold).mean() >= 0.8
    assert "by the networks of 3 folds" in bundle.chosen_by
    assert outcome["metrics"]["out_of_fold"]["roc_auc"]["value"] is not None
    assert bundle.training["out_of_fold"]["table_sha256"] == table.record.table_sha256
    assert bundle.training["args"]["decide_from"] == "out_of_fold.csv"


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"keep": "best"}, "keep was 'last'"), ({"keep": "last", "dropout": 0.5}, "dropout was 0.1")],
)
def test_a_table_of_other_settings_is_refused(
    tmp_path: Path, finished: Path, data: TrainingSet, settings: dict[str, Any], words: str
) -> None:
    config = replace(ONE_EPOCH, **settings)
    with pytest.raises(InputError, match=words):
        train(config, data, tmp_path, tmp_path / "m.h5", out_of_fold=read_table(finished))
    assert not (tmp_path / "m.h5").exists()


def test_a_table_of_other_data_is_refused(
    tmp_path: Path, finished: Path, data: TrainingSet
) -> None:
    rows = {**data.rows, "train": data.rows["train"][1:]}
    with pytest.raises(InputError, match="data was"):
        train(
            replace(ONE_EPOCH, keep="last"),
            replace(data, rows=rows),
            tmp_path,
            tmp_path / "m.h5",
            out_of_fold=read_table(finished),
        )
