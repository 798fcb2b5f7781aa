"""Tiny drawn datasets on disk, one for each layout, with bones that a tiny network can classify.

Each function fills a folder and returns it. The pictures depend on a seed alone; every one has its own
pose and soft tissue, so that no two are near-duplicates. There are as many as a split by hash needs to
leave both classes in every part, for the seeds 0 to 9 at least.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.pictures import draw_radiograph, encode
from utils.datasets.training_set import TrainingSet, read_training_set
from utils.imaging.geometry import resize

PARTS = ("train", "val", "test")
MURA_REGIONS = ("WRIST", "HAND")


def folder_tree(root: Path, *, per_class: int = 12, size: tuple[int, int] = (96, 72)) -> Path:
    """Draw root/train|val|test/fractured|not fractured, as the Kaggle multi-region set is laid out.

    Args:
        root: folder to fill; made where it is missing.
        per_class: images of each class in train; validation and test have half as many.
        size: height and width of the pictures.
    """
    seed = 0
    for part in PARTS:
        for name, fractured in (("fractured", True), ("not fractured", False)):
            for number in range(per_class if part == "train" else max(1, per_class // 2)):
                seed += 1
                _draw(root / part / name / f"{number + 1}.png", size, seed, fractured)
    return root


def mura_tree(root: Path, *, patients: int = 48, size: tuple[int, int] = (96, 72)) -> Path:
    """Draw a MURA-v1.1 folder in ``root`` and return it: regions, patients, studies and four CSV files.

    Args:
        root: folder to hold the ``MURA-v1.1`` folder.
        patients: in the train part; the valid part has half as many. Every other patient is positive,
            every patient has one study of two images, and the regions take turns.
        size: height and width of the pictures.
    """
    number = seed = 0
    for part, count in (("train", patients), ("valid", patients // 2)):
        images, studies = [], []
        for index in range(count):
            number += 1
            positive = index % 2 == 0
            region = MURA_REGIONS[index // 2 % len(MURA_REGIONS)]
            finding = "positive" if positive else "negative"
            study = f"MURA-v1.1/{part}/XR_{region}/patient{number:05d}/study1_{finding}"
            studies.append(f"{study}/,{int(positive)}")
            for image in (1, 2):
                seed += 1
                path = f"{study}/image{image}.png"
                images.append(path)
                _draw(root / path, size, seed, positive)
        folder = root / "MURA-v1.1"
        (folder / f"{part}_image_paths.csv").write_text("\n".join(images) + "\n")
        (folder / f"{part}_labeled_studies.csv").write_text("\n".join(studies) + "\n")
    return root / "MURA-v1.1"


def fracatlas_tree(root: Path, *, per_class: int = 24, size: tuple[int, int] = (96, 72)) -> Path:
    """Draw a FracAtlas folder: class folders, dataset.csv and PASCAL VOC boxes.

    Args:
        root: folder to fill.
        per_class: images of each class. Regions and views take turns, every third fractured bone has
            hardware, and the box lies around the gap in the middle of the shaft.
        size: height and width of the pictures.
    """
    height, width = size
    header = "image_id,hand,leg,hip,shoulder,mixed,hardware,multiscan,fractured,fracture_count"
    lines = [header + ",frontal,lateral,oblique"]
    annotations = root / "Annotations" / "PASCAL VOC"
    annotations.mkdir(parents=True, exist_ok=True)
    for number in range(2 * per_class):
        fractured = number % 2 == 0
        name = f"IMG{number:07d}"
        folder = "Fractured" if fractured else "Non_fractured"
        _draw(root / "images" / folder / f"{name}.jpg", size, number + 1, fractured)
        region = number // 2 % 2
        flags = (1 - region, region, 0, 0, 0, int(fractured and number % 6 == 0), 0)
        frontal = number // 4 % 2
        counts = (int(fractured), int(fractured), frontal, 1 - frontal, 0)
        lines.append(",".join([f"{name}.jpg", *map(str, (*flags, *counts))]))
        box = (width // 5, height // 4, width * 4 // 5, height * 3 // 4)
        edges = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        marks = "".join(f"<{edge}>{value}</{edge}>" for edge, value in edges)
        mark = f"<object><name>fractured</name><bndbox>{marks}</bndbox></object>"
        (annotations / f"{name}.xml").write_text(
            f"<annotation><filename>{name}.jpg</filename>{mark if fractured else ''}</annotation>"
        )
    (root / "dataset.csv").write_text("\n".join(lines) + "\n")
    return root


def draw_distinct(height: int, width: int, *, seed: int, fractured: bool = False) -> np.ndarray:
    """Draw a radiograph that is no near-duplicate of another seed's, float32 (height, width) in [0, 1].

    Bones alone differ so little that they count as copies; patches of soft tissue make them distinct.
    """
    picture = draw_radiograph(height, width, seed=seed, fractured=fractured)
    patches = np.random.default_rng(seed + 1_000_000).uniform(0.55, 1.25, (9, 7))
    tissue = resize(patches.astype(np.float32), height, width)
    return np.clip((picture + 0.12) * tissue, 0, 1)


def _draw(file: Path, size: tuple[int, int], seed: int, fractured: bool) -> None:
    """Draw one radiograph into a file, in the format of its suffix."""
    file.parent.mkdir(parents=True, exist_ok=True)
    picture = draw_distinct(*size, seed=seed, fractured=fractured)
    file.write_bytes(encode(picture, "JPEG" if file.suffix == ".jpg" else "PNG"))


def fracatlas_training_set(root: Path, *, size: int) -> TrainingSet:
    """Draw a FracAtlas folder, read it and split it."""
    tree = fracatlas_tree(root / "atlas", per_class=40)
    return read_training_set(
        tree, dataset="auto", regions=(), size=size, seed=0, cache=root / "cache"
    )
