"""Evaluation of a bundle on a labelled dataset, without the images of its training manifest.

Those images are found by content (checksum and perceptual hash) in any copy of the data, left out, and
counted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from utils.datasets.duplicates import near_duplicates_of
from utils.datasets.image_cache import PreparedImages, prepare_images
from utils.datasets.readers import read_dataset
from utils.datasets.sample import Dataset, Sample
from utils.datasets.split import Split, split_dataset
from utils.errors import DatasetError, InputError
from utils.evaluation import report_schema as schema
from utils.evaluation.metrics import LEVEL
from utils.evaluation.ood import OODFolder, evaluate_ood, find_ood_folders
from utils.evaluation.predictive_values import PREVALENCES
from utils.evaluation.recalibration import check_target, fit_recalibration, save_recalibration
from utils.evaluation.scored_images import Evaluation, read_names, score
from utils.evaluation.strata import tables
from utils.imaging.radiograph import Limits
from utils.inference.engines.engine import Engine, load_engine
from utils.inference.predictor import Predictor
from utils.model.bundle import Bundle, read_bundle, read_manifest
from utils.model.manifest import TrainingManifest

TEST = "test"
# From this share of images in the training manifest on, these are the data the model was trained on.
KNOWN_SHARE = 0.1


@dataclass(frozen=True)
class EvaluationRequest:
    """What to evaluate and how: the flags of evaluate.py, by their names."""

    model: Path
    data: Path
    dataset: str
    region: Sequence[str]
    part: str
    only: Path | None
    prevalence: Sequence[float]
    ood: Sequence[Path]
    resamples: int
    seed: int
    batch_size: int
    cache: Path
    quiet: bool
    recalibrate: bool
    local_threshold: float | None
    save: Path | None


@dataclass(frozen=True, eq=False)
class EvaluationInputs:
    """What a request names, found and checked: dataset, ids of ``only``, folders of OOD samples."""

    image_size: int
    dataset: Dataset
    only: Collection[str] | None
    ood_folders: tuple[OODFolder, ...]


def read_inputs(request: EvaluationRequest) -> EvaluationInputs:
    """Find and check everything that a request names, before any slow work.

    Raises:
        InputError: something of it is missing or unusable.
        SetupError: the model is.
    """
    local = request.recalibrate or request.local_threshold is not None
    if request.save and not local:
        raise InputError("evaluation.nothing_to_save")
    image_size = read_bundle(request.model).preprocess.image_size
    dataset = read_dataset(request.data, request.dataset, request.region)
    only = read_names(request.only, dataset.samples) if request.only else None
    ood_folders = find_ood_folders(request.ood)
    if request.save:
        check_target(request.save, request.model)
    return EvaluationInputs(image_size, dataset, only, ood_folders)


def run_evaluation(
    request: EvaluationRequest,
    inputs: EvaluationInputs,
    engine: str,
    engine_cache: Path | None,
    limits: Limits,
) -> Evaluation:
    """Evaluate a bundle as requested: figures, recalibration, out-of-distribution samples.

    Args:
        request, inputs: see ``read_inputs``.
        engine, engine_cache: see ``engine.load_engine``.
        limits: of the out-of-distribution samples.

    Raises:
        InputError, SetupError: see ``evaluate``, ``fit_recalibration`` and ``load_engine``.
    """
    running: dict[str, Any] = {"batch_size": request.batch_size, "progress": not request.quiet}
    prepared = prepare_images(
        inputs.dataset.samples, inputs.image_size, request.cache, progress=not request.quiet
    )
    loaded = load_engine(request.model, engine, cache=engine_cache)
    evaluation = evaluate(
        loaded,
        inputs.dataset,
        prepared,
        part=request.part,
        only=inputs.only,
        resamples=request.resamples,
        seed=request.seed,
        prevalences=request.prevalence,
        **running,
    )
    if request.recalibrate or request.local_threshold is not None:
        local = fit_recalibration(
            evaluation,
            recalibrate=request.recalibrate,
            sensitivity=request.local_threshold,
            seed=request.seed,
        )
        evaluation = local.evaluation
        if request.save:
            save_recalibration(local, prepared, request.save)
    if inputs.ood_folders:
        predictor = Predictor(loaded, limits=limits)
        evaluation = evaluate_ood(evaluation, predictor, inputs.ood_folders, **running)
    return evaluation


def evaluate(
    engine: Engine,
    dataset: Dataset,
    prepared: PreparedImages,
    *,
    part: str = TEST,
    only: Collection[str] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    prevalences: Sequence[float] = PREVALENCES,
    batch_size: int = 32,
    progress: bool = False,
) -> Evaluation:
    """Run a model over a part of a dataset and compute every figure.

    Args:
        engine: the loaded model.
        dataset: as a dataset reader returned it.
        prepared: its readable images, fitted to the model's input size.
        part: "test" is the test part of the split that the model's sidecar records where these data
            trained it, else the part that the source itself calls test; "all" is everything. Images of
            the training manifest are left out of either.
        only: ids of the samples to evaluate, as if the dataset had no others; None for all.
        resamples, seed: of the bootstrap behind each interval.
        prevalences: of the predictive values.
        batch_size: images a forward pass.
        progress: show a bar on stderr.

    Raises:
        DatasetError: there is no such part, or nothing of it is left.
        BundleError: the training manifest is missing or altered.
    """
    bundle = engine.bundle
    manifest = read_manifest(bundle)
    same_file, look_alike = _in_manifest(prepared, manifest)
    known = bool((same_file | look_alike).mean() >= KNOWN_SHARE)
    split = _split(dataset, prepared, bundle, known, only)
    parts = _parts(prepared.samples, split, known)
    if manifest.local is not None:
        # Images of a recalibration are left out, but do not make these data the training data.
        same_local, alike_local = _in_manifest(prepared, manifest.local)
        same_file |= same_local
        look_alike = (look_alike | alike_local) & ~same_file
    requested = np.array([name is not None for name in split.parts], bool)
    other_parts = int(requested.sum())
    if part == TEST:
        if TEST not in parts:
            raise _no_test_part(
                dataset.name, known, int((same_file | look_alike).sum()), len(parts)
            )
        requested &= np.array([name == TEST for name in parts], bool)
    counts = {
        "training_images": int((requested & same_file).sum()),
        "near_duplicates": int((requested & look_alike).sum()),
    }
    rows = np.flatnonzero(requested & ~same_file & ~look_alike)
    if rows.size == 0:
        raise DatasetError(
            "evaluation.nothing_left", images=int(requested.sum()), part=part, **counts
        )
    scored = score(
        engine, prepared, rows, parts, split.groups, batch_size=batch_size, progress=progress
    )
    report = schema.EvaluationReport(
        model=schema.ModelRecord(
            sha256=bundle.sha256,
            architecture=bundle.architecture,
            image_size=bundle.preprocess.image_size,
            trained_on=bundle.training.get("dataset"),
            labels=bundle.labels,
            threshold=bundle.threshold,
            doubt=bundle.doubt,
            chosen_by=bundle.chosen_by,
        ),
        dataset=schema.DatasetRecord(
            name=dataset.name,
            meaning=dataset.meaning,
            attribution=dataset.attribution,
            part=part,
            trained_on_these_data=known,
            split=split.report,
        ),
        left_out=schema.LeftOut(
            **counts,
            unreadable=sum(only is None or name in only for name in prepared.unreadable),
            dropped=split.report.dropped,
            other_parts=other_parts - int(requested.sum()),
            not_named=None
            if only is None
            else sum(sample.id not in only for sample in dataset.samples),
        ),
        bootstrap=schema.Bootstrap(resamples=resamples, seed=seed, level=LEVEL),
        **dict(tables(scored, bundle, resamples=resamples, seed=seed, prevalences=prevalences)),
    )
    return Evaluation(bundle, dataset, scored, report)


def _in_manifest(
    prepared: PreparedImages, manifest: TrainingManifest
) -> tuple[np.ndarray, np.ndarray]:
    """Whether each image is a file of the manifest, or a near-duplicate of one, bool (n,) each."""
    same_file = np.array([file.key in manifest.sha256 for file in prepared.files], bool)
    if not len(manifest.fingerprints):
        return same_file, np.zeros(len(prepared.samples), bool)
    alike = np.asarray(near_duplicates_of(prepared.thumbnails, manifest.fingerprints), bool)
    return same_file, alike & ~same_file


def _split(
    dataset: Dataset,
    prepared: PreparedImages,
    bundle: Bundle,
    known: bool,
    only: Collection[str] | None,
) -> Split:
    """Split the data as the model's training did; foreign data need the groups alone.

    Images that ``only`` does not name are in no part, and join no others to a group.
    """
    recorded = bundle.training.get("split") if known else None
    options: dict[str, Any] = {"seed": 0, "needed": ()}
    if recorded:
        options |= {"seed": int(recorded["seed"]), "fractions": tuple(recorded["fractions"])}
    samples = prepared.samples
    named = np.array([only is None or sample.id in only for sample in samples], bool)
    chosen = replace(dataset, samples=tuple(samples[row] for row in np.flatnonzero(named)))
    split = split_dataset(chosen, prepared.thumbnails[named], **options)
    parts, groups = iter(split.parts), iter(split.groups)
    return replace(
        split,
        parts=tuple(next(parts) if is_named else None for is_named in named),
        groups=tuple(
            next(groups) if is_named else sample.group
            for is_named, sample in zip(named, samples, strict=True)
        ),
    )


def _parts(samples: Sequence[Sample], split: Split, known: bool) -> tuple[str, ...]:
    """Part of each image; on foreign data, which the model never split, that of the source."""
    if known:
        return tuple(name or "dropped" for name in split.parts)
    return tuple(sample.part or "unassigned" for sample in samples)


def _no_test_part(source: str, known: bool, in_manifest: int, images: int) -> DatasetError:
    """Return the error for data without a test part."""
    if known:
        return DatasetError("evaluation.test_part_empty")
    return DatasetError(
        "evaluation.no_test_part", source=source, in_manifest=in_manifest, images=images
    )
