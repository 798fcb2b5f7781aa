"""Evaluation of a bundle on a labelled dataset, without the images of its training manifest.

Those images are found by content (checksum and perceptual hash) in any copy of the data, left out, and
counted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from utils.datasets.duplicates import near_duplicates_of
from utils.datasets.image_cache import PreparedImages
from utils.datasets.sample import Dataset, Sample
from utils.datasets.split import Split, split_dataset
from utils.errors import DatasetError
from utils.evaluation.metrics import LEVEL
from utils.evaluation.predictive_values import PREVALENCES
from utils.evaluation.report_schema import (
    Bootstrap,
    DatasetRecord,
    EvaluationReport,
    LeftOut,
    ModelRecord,
)
from utils.evaluation.strata import Evaluation, ScoredImages, tables
from utils.inference.engine import Engine
from utils.model.bundle import Bundle, read_manifest, read_ood_detector
from utils.model.manifest import TrainingManifest

TEST, ALL = "test", "all"
# From this share of images in the training manifest on, these are the data the model was trained on.
KNOWN_SHARE = 0.1


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
    scored = _score(engine, prepared, rows, parts, split, batch_size, progress)
    report = EvaluationReport(
        model=describe_model(bundle),
        dataset=DatasetRecord(
            name=dataset.name,
            meaning=dataset.meaning,
            attribution=dataset.attribution,
            part=part,
            trained_on_these_data=known,
            split=split.report,
        ),
        left_out=LeftOut(
            **counts,
            unreadable=sum(only is None or name in only for name in prepared.unreadable),
            dropped=split.report.dropped,
            other_parts=other_parts - int(requested.sum()),
            not_named=None
            if only is None
            else sum(sample.id not in only for sample in dataset.samples),
        ),
        bootstrap=Bootstrap(resamples=resamples, seed=seed, level=LEVEL),
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


def _score(
    engine: Engine,
    prepared: PreparedImages,
    rows: np.ndarray,
    parts: Sequence[str],
    split: Split,
    batch_size: int,
    progress: bool,
) -> ScoredImages:
    """Run the network over the chosen rows."""
    from tqdm import tqdm

    chunks = [rows[start : start + batch_size] for start in range(0, rows.size, batch_size)]
    with tqdm(total=rows.size, desc="evaluating", unit="image", disable=not progress) as bar:
        outputs = []
        for chunk in chunks:
            outputs.append(engine.run(np.asarray(prepared.images[chunk])))
            bar.update(chunk.size)
    logit = np.concatenate([output.logit for output in outputs])
    regions = [output.region.argmax(axis=1) for output in outputs if output.region is not None]
    region = None
    if regions:
        region = tuple(engine.bundle.regions[row] for row in np.concatenate(regions))
    ood_detector = read_ood_detector(engine.bundle)
    input_warnings = None
    if ood_detector:
        input_warnings = tuple(
            ood_detector.doubts(embedding) for output in outputs for embedding in output.embedding
        )
    samples = tuple(prepared.samples[row] for row in rows)
    return ScoredImages(
        samples=samples,
        files=tuple(prepared.files[row] for row in rows),
        parts=tuple(parts[row] for row in rows),
        groups=tuple(split.groups[row] for row in rows),
        labels=np.array([sample.label for sample in samples]),
        logit=logit,
        probability=np.asarray(engine.bundle.calibration.probability(logit)),
        maps=np.concatenate([output.map for output in outputs]),
        region=region,
        input_warnings=input_warnings,
        map_offset=engine.bundle.map_offset,
    )


def describe_model(bundle: Bundle) -> ModelRecord:
    """Return what identifies the model and its decision."""
    return ModelRecord(
        sha256=bundle.sha256,
        architecture=bundle.architecture,
        image_size=bundle.preprocess.image_size,
        trained_on=bundle.training.get("dataset"),
        labels=bundle.labels,
        threshold=bundle.threshold,
        doubt=bundle.doubt,
        chosen_by=bundle.chosen_by,
    )
