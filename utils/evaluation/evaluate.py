"""From a model and a labelled dataset to every figure about it: overall, by study, by kind of image.

Images that trained or calibrated the model are found by content (checksum and perceptual hash), whatever
copy of the data they lie in, left out, and counted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from utils.datasets.duplicates import near_duplicates_of
from utils.datasets.image_cache import PreparedImages
from utils.datasets.sample import Dataset, Sample
from utils.datasets.split import Split, split_dataset
from utils.errors import DatasetError
from utils.evaluation.predictive_values import PREVALENCES
from utils.evaluation.strata import ScoredImages, tables
from utils.inference.engine import Engine
from utils.model.bundle import Bundle, read_manifest, read_ood_detector
from utils.model.manifest import TrainingManifest

TEST, ALL = "test", "all"
# From this share of images that the model has seen, these are the data its split was made of.
KNOWN_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One evaluation.

    Args:
        bundle: the model that was evaluated.
        dataset: what it was evaluated on.
        scored: the images and answers.
        report: all figures, JSON-able: what metrics.json holds.
    """

    bundle: Bundle
    dataset: Dataset
    scored: ScoredImages
    report: dict[str, Any]


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
        dataset: as a reader gave it.
        prepared: its readable images, fitted to the model's input size.
        part: "test" is the test part of the split that the model's sidecar records where these data
            trained it, else the part that the source itself calls test; "all" is everything. Images
            the model has seen are left out of either.
        only: ids of the samples to evaluate, as if the dataset had no others; None for all.
        resamples: bootstrap draws of groups behind each interval.
        seed: of the draws.
        prevalences: for which the predictive values are tabled.
        batch_size: images a forward pass.
        progress: show a bar on stderr.

    Returns:
        The figures and the answers they come from.

    Raises:
        DatasetError: there is no such part, or nothing of it is left.
        BundleError: the list of images that the model has seen is missing or altered.
    """
    bundle = engine.bundle
    seen = read_manifest(bundle)
    same_file, look_alike = _seen_in(prepared, seen)
    known = bool((same_file | look_alike).mean() >= KNOWN_SHARE)
    split = _split(dataset, prepared, bundle, known, only)
    parts = _parts(prepared.samples, split, known)
    if seen.local is not None:
        # They count as seen, but do not make these data the ones that the model was trained on.
        same_too, alike_too = _seen_in(prepared, seen.local)
        same_file, look_alike = (
            same_file | same_too,
            (look_alike | alike_too) & ~same_too & ~same_file,
        )
    wanted = np.array([name is not None for name in split.parts], bool)
    if part == TEST:
        _check_test_part(parts, dataset, known, int((same_file | look_alike).sum()))
        wanted &= np.array([name == TEST for name in parts], bool)
    rows = np.flatnonzero(wanted & ~same_file & ~look_alike)
    if rows.size == 0:
        raise DatasetError(
            f"nothing is left to evaluate: of {wanted.sum()} images of part {part!r}, "
            f"{int((wanted & same_file).sum())} trained or calibrated the model and "
            f"{int((wanted & look_alike).sum())} are near-duplicates of such images"
        )
    scored = _score(engine, prepared, rows, parts, split, batch_size, progress)
    left_out = {
        "seen_by_the_model": int((wanted & same_file).sum()),
        "near_duplicates_of_seen": int((wanted & look_alike).sum()),
        "unreadable": sum(only is None or name in only for name in prepared.unreadable),
        "dropped": split.report.dropped,
        "other_parts": sum(name is not None for name in split.parts) - int(wanted.sum()),
    }
    if only is not None:
        left_out["not_named"] = sum(sample.id not in only for sample in dataset.samples)
    report = {
        "schema_version": 1,
        "model": describe_model(bundle),
        "dataset": {
            "name": dataset.name,
            "meaning": dataset.meaning,
            "attribution": dataset.attribution,
            "part": part,
            "trained_on_these_data": known,
            "split": split.report.model_dump(),
        },
        "left_out": left_out,
        "bootstrap": {"resamples": resamples, "seed": seed, "level": 0.95, "unit": "group"},
        **tables(scored, bundle, resamples=resamples, seed=seed, prevalences=prevalences),
    }
    return Evaluation(bundle, dataset, scored, report)


def _seen_in(prepared: PreparedImages, seen: TrainingManifest) -> tuple[np.ndarray, np.ndarray]:
    """Whether each image is a file that the model has seen, or a near-duplicate of one, bool (n,) each."""
    same_file = np.array([file.key in seen.sha256 for file in prepared.files], bool)
    if not len(seen.fingerprints):
        return same_file, np.zeros(len(prepared.samples), bool)
    alike = np.asarray(near_duplicates_of(prepared.thumbnails, seen.fingerprints), bool)
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
        parts=tuple(next(parts) if of_these else None for of_these in named),
        groups=tuple(
            next(groups) if of_these else sample.group
            for of_these, sample in zip(named, samples, strict=True)
        ),
    )


def _parts(samples: Sequence[Sample], split: Split, known: bool) -> tuple[str, ...]:
    """Part of each image; on foreign data what its source says, for no split was made of them."""
    if known:
        return tuple(name or "dropped" for name in split.parts)
    return tuple(sample.part or "unassigned" for sample in samples)


def _check_test_part(parts: Sequence[str], dataset: Dataset, known: bool, seen: int) -> None:
    """Raise DatasetError where no image is in a test part, saying what to do."""
    if TEST in parts:
        return
    why = (
        "the split that the model records puts none of these images into its test part"
        if known
        else f"the {dataset.name} source marks no test part, and the model was not trained on these "
        f"data ({seen} of {len(parts)} images are known to it), so its own split does not apply"
    )
    raise DatasetError(
        f"there is no test part: {why}; use --part all to evaluate every image the model has not seen"
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
    doubts = None
    if ood_detector:
        doubts = tuple(
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
        doubts=doubts,
        map_offset=engine.bundle.map_offset,
    )


def describe_model(bundle: Bundle) -> dict[str, Any]:
    """What identifies the model and its decision."""
    return {
        "sha256": bundle.sha256,
        "architecture": bundle.architecture,
        "image_size": bundle.preprocess.image_size,
        "trained_on": bundle.training.get("dataset"),
        "labels": bundle.labels.model_dump(),
        "threshold": bundle.threshold,
        "doubt": list(bundle.doubt),
        "chosen_by": bundle.chosen_by,
    }
