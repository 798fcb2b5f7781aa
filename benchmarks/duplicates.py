"""Near-duplicate search on real radiographs: pairs by hash distance, copies found, false matches.

    python benchmarks/duplicates.py data/FracAtlas [--pictures FOLDER]

Prints the tables of docs/datasets.md; ``--pictures`` writes the pairs nearest to each threshold as PNG,
for visual inspection.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.datasets.duplicates import (
    VERIFIED,
    agreement,
    fingerprints,
    group_duplicates,
    near_duplicates_of,
)
from utils.datasets.readers import read_dataset
from utils.formats import decode
from utils.imaging.geometry import resize
from utils.preprocess import letterbox

Change = Callable[[np.ndarray], np.ndarray]


def longest(picture: np.ndarray, side: int) -> np.ndarray:
    ratio = side / max(picture.shape)
    return resize(picture, *(max(1, round(length * ratio)) for length in picture.shape))


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(stream, "JPEG", quality=quality)
    return decode(stream.getvalue()).pixels


CHANGES: dict[str, Change] = {
    "JPEG quality 75": lambda one: jpeg(one, 75),
    "JPEG quality 50": lambda one: jpeg(one, 50),
    "JPEG quality 20": lambda one: jpeg(one, 20),
    "longest side 320": lambda one: longest(one, 320),
    "longest side 224, JPEG 75": lambda one: jpeg(longest(one, 224), 75),
    "longest side 130": lambda one: longest(one, 130),
    "longest side 1000": lambda one: longest(one, 1000),
    "squeezed to 224 x 224": lambda one: resize(one, 224, 224),
    "mirrored": lambda one: one[:, ::-1],
    "mirrored, 224, JPEG 75": lambda one: jpeg(longest(one[:, ::-1], 224), 75),
    "half as bright": lambda one: one * 0.5,
    "contrast times 1.3": lambda one: np.clip(one * 1.3 - 0.06, 0, 1),
    "gamma 0.7": lambda one: one**0.7,
    "cropped by 2 %": lambda one: one[one.shape[0] // 50 :, one.shape[1] // 50 :],
    "cropped by 5 %": lambda one: one[one.shape[0] // 20 :, one.shape[1] // 20 :],
    "rotated by 90 degrees": lambda one: np.rot90(one),
}


def thumbnail(picture: np.ndarray) -> np.ndarray:
    return letterbox(np.ascontiguousarray(picture, np.float32), 64)


def near_pairs(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pairs i < j within the widest limit, their distance in bits and their agreement."""
    words = [fingerprints(one).view(np.uint64) for one in (first, second)]
    distances = np.zeros((len(first), len(second)), np.uint16)
    for word in range(4):
        distances += np.bitwise_count(words[0][:, word, None] ^ words[1][None, :, word])
    pairs = np.argwhere(np.triu(distances <= VERIFIED[-1][0], 1))
    return (
        pairs,
        distances[pairs[:, 0], pairs[:, 1]],
        agreement(first[pairs[:, 0]], second[pairs[:, 1]]),
    )


def show_pairs(file: Path, pairs: np.ndarray, captions: list[str], thumbnails: np.ndarray) -> None:
    cells = []
    for (i, j), caption in zip(pairs, captions, strict=True):
        cell = cv2.resize(np.hstack([thumbnails[i], thumbnails[j]]), None, fx=2, fy=2)
        cell = np.vstack([np.full((16, cell.shape[1]), 255, np.uint8), cell])
        cv2.putText(cell, caption, (2, 12), 0, 0.38, 0, 1, cv2.LINE_AA)
        cells.append(np.pad(cell, ((0, 0), (0, 6)), constant_values=255))
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % 6)
    rows = [np.hstack(cells[at : at + 6]) for at in range(0, len(cells), 6)]
    cv2.imwrite(str(file), np.vstack(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder to write the nearest pairs into")
    args = parser.parse_args()

    dataset = read_dataset(args.root)
    rng = np.random.default_rng(0)
    copied = set(rng.choice(len(dataset.samples), 500, replace=False).tolist())
    thumbnails, truncated = [], []
    copies: dict[str, list[np.ndarray]] = {name: [] for name in CHANGES}
    originals = []
    for index, sample in enumerate(dataset.samples):
        radiograph = decode(sample.path.read_bytes(), allow_truncated=True)
        thumbnails.append(thumbnail(radiograph.pixels))
        truncated.append(radiograph.truncated)
        if index in copied and not radiograph.truncated:
            originals.append(index)
            for name, change in CHANGES.items():
                copies[name].append(thumbnail(change(radiograph.pixels)))
    pictures, cut = np.stack(thumbnails), np.array(truncated)

    print(f"{len(pictures)} images, {cut.sum()} of them truncated")
    pairs, bits, agree = near_pairs(pictures, pictures)
    _, mirrored_bits, mirrored_agree = near_pairs(pictures, pictures[:, :, ::-1])
    print("bits      pairs  agree>=0.45  >=0.60  >=0.70  >=0.75  >=0.80  >=0.85  >=0.90")
    below = -1
    for limit in (10, 20, 24, 32, 40, 48, 64):
        row = (bits > below) & (bits <= limit)
        cells = "".join(
            f"{(agree[row] >= t).sum():8d}" for t in (0.45, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9)
        )
        print(f"{below + 1:2d} to {limit:2d} {row.sum():6d}     {cells}")
        below = limit
    print(
        f"mirrored: nearest {mirrored_bits.min(initial=256)} bits, "
        f"highest agreement {mirrored_agree.max(initial=0):.2f}"
    )
    groups = group_duplicates(pictures)
    whole = ~cut[groups.pairs].any(axis=1)
    print(f"groups: {groups.counts().model_dump()}; pairs of two whole files: {whole.sum()}")
    labels = np.array([sample.label for sample in dataset.samples])
    mean = np.bincount(groups.group, labels)[groups.group] / np.bincount(groups.group)[groups.group]
    print(f"images whose copies stand in both classes: {((mean > 0) & (mean < 1)).sum()}")
    print(f"truncated files joined to another: {np.isin(np.flatnonzero(cut), groups.pairs).sum()}")

    print(f"\ncopies of {len(originals)} whole images        fingerprint   grouped")
    known = fingerprints(pictures[originals])
    for name, made in copies.items():
        changed = np.stack(made)
        both = group_duplicates(np.concatenate([pictures[originals], changed])).group
        grouped = both[: len(originals)] == both[len(originals) :]
        print(
            f"{name:30s} {near_duplicates_of(changed, known).mean():10.3f} {grouped.mean():10.3f}"
        )

    single = rng.permutation(np.setdiff1d(np.arange(len(pictures)), groups.pairs))
    left, right = np.array_split(single, 2)
    false = near_duplicates_of(pictures[left], fingerprints(pictures[right])).sum()
    print(f"\nfalse matches: {false} of {len(left)} images with {len(right)} others")

    many = np.stack([_moved(pictures[i % len(pictures)], rng) for i in range(40_000)])
    start = time.perf_counter()
    group_duplicates(many)
    print(
        f"grouping 40,000 images (these, rotated and shifted): {time.perf_counter() - start:.0f} s"
    )

    if args.pictures:
        args.pictures.mkdir(parents=True, exist_ok=True)
        for limit, needed in VERIFIED:
            near = np.argsort(np.abs(agree - needed) + 10 * (bits > limit))[:48]
            near = near[np.argsort(-agree[near])]
            captions = [f"{bits[at]} bits {agree[at]:.2f}" for at in near]
            show_pairs(args.pictures / f"pairs-{limit}.png", pairs[near], captions, pictures)


def _moved(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    matrix = cv2.getRotationMatrix2D((32, 32), rng.uniform(-12, 12), rng.uniform(0.85, 1.15))
    matrix[:, 2] += rng.uniform(-5, 5, 2)
    return cv2.warpAffine(picture, matrix, (64, 64))


if __name__ == "__main__":
    main()
