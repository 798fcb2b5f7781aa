"""Near-duplicates found on thumbnails: exact, re-encoded, resized or mirrored copies.

A 256-bit perceptual hash proposes pairs; only pairs whose pixels then agree block by block are joined,
so that different patients in the same projection are not chained into one group. The thresholds were
chosen on real pairs by visual inspection: docs/datasets.md has the counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from pydantic import BaseModel

from utils.imaging.geometry import resize

THUMBNAIL_SIZE = 64

# Rows and columns at the edge below this share of the brightest level are border: letterbox bars, whose
# width depends on rounding, and black margins.
_BLACK = 1 / 32
_SMALLEST_CONTENT = 8  # pixels; smaller content is not cropped to
_BLUR = 1.0  # pixels, standard deviation; resized copies are displaced by parts of a pixel
_CONTRAST = 50.0  # grey levels, standard deviation of every thumbnail once normalised
_FREQUENCIES = 16  # lowest frequencies a side of the cosine transform: 16 * 16 = 256 bits

# A pair is one picture when its hashes differ in at most so many bits and at least this share of its
# blocks agrees. Within the first row hashes were always of one picture; in the last row only some were:
# copies that are marked, masked or truncated, among many different patients in the same projection.
VERIFIED = ((20, 0.45), (32, 0.70), (64, 0.85))
NEAR_BITS = VERIFIED[0][0]
FAR_BITS = VERIFIED[-1][0]

_BLOCK = 8  # pixels a side of the blocks compared
_INFORMATIVE = 3.0  # grey levels, standard deviation from which a block counts
_BLANK = 0.75  # grey levels, below which a block is blank: the strip where a file ended, a mask
_CORRELATED = 0.9  # a block agrees from this correlation on
_LEAST_BLOCKS = 8  # compared at least
_LEAST_COMPARED = 0.4  # share of the informative blocks that must be present in both pictures
_SHIFTS = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1))

_HASH_CHUNK = 256  # rows of the distance table held at once
_PICTURE_CHUNK = 1024  # pictures or pairs held as floats at once


class DuplicateCounts(BaseModel, frozen=True):
    """Counts of the pairs and groups found; ``sizes`` is a group's size to the number of such groups."""

    verified_pairs: int
    mirrored_pairs: int
    groups: int
    images_in_groups: int
    largest_group: int
    sizes: dict[str, int]


@dataclass(frozen=True, eq=False)
class DuplicateGroups:
    """Groups of images that show the same picture.

    Args:
        group: int (n,), the same number for images of one group; every image is in one.
        pairs: int (m, 2), the verified pairs, the smaller index first.
        mirrored: bool (m,), whether the pair agrees only once one picture is mirrored.
    """

    group: np.ndarray
    pairs: np.ndarray
    mirrored: np.ndarray

    def counts(self) -> DuplicateCounts:
        """Return the counts for a report; images without a copy count in none but ``largest_group``."""
        sizes = Counter(size for size in np.bincount(self.group).tolist() if size > 1)
        return DuplicateCounts(
            verified_pairs=len(self.pairs),
            mirrored_pairs=int(self.mirrored.sum()),
            groups=sizes.total(),
            images_in_groups=sum(size * count for size, count in sizes.items()),
            largest_group=max(sizes, default=1),
            sizes={str(size): count for size, count in sorted(sizes.items())},
        )


def group_duplicates(thumbnails: np.ndarray) -> DuplicateGroups:
    """Group the images that show the same picture: exact, re-encoded, resized or mirrored.

    Mirrored means left and right exchanged. Rotated copies are not searched for: see docs/datasets.md.

    Args:
        thumbnails: uint8 (n, 64, 64), made by ``preprocess.letterbox(pixels, 64)``.

    Returns:
        Groups joined over verified pairs alone.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(thumbnails)
    hashes = fingerprints(thumbnails)
    flipped = thumbnails[:, :, ::-1]
    plain = _verified_pairs(thumbnails, thumbnails, hashes, hashes)
    mirrored = _verified_pairs(thumbnails, flipped, hashes, fingerprints(flipped))
    known = set(map(tuple, plain.tolist()))
    mirrored = mirrored[[tuple(pair) not in known for pair in mirrored.tolist()]]
    pairs = np.concatenate([plain, mirrored])
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    group = connected_components(links, directed=False)[1] if count else np.zeros(0)
    return DuplicateGroups(group.astype(np.int64), pairs, np.arange(len(pairs)) >= len(plain))


def fingerprints(thumbnails: np.ndarray) -> np.ndarray:
    """Return the perceptual hash of each thumbnail.

    A bit a coefficient of the 16 x 16 lowest frequencies of the cosine transform of the content (black
    borders off, stretched to the square): whether it is above their median. The first, the mean
    brightness, counts as zero.

    Args:
        thumbnails: uint8 (n, 64, 64), made by ``preprocess.letterbox(pixels, 64)``.

    Returns:
        uint8 (n, 32): 256 bits each.

    Raises:
        ValueError: the thumbnails have another shape.

    Source:
        Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), section
        3.2.1, with 256 bits instead of 64.
    """
    from scipy.fft import dctn

    if thumbnails.shape[1:] != (THUMBNAIL_SIZE, THUMBNAIL_SIZE):
        raise ValueError(f"thumbnails are (n, 64, 64), not {thumbnails.shape}")
    hashes = np.zeros((len(thumbnails), _FREQUENCIES**2 // 8), np.uint8)
    for start in range(0, len(thumbnails), _PICTURE_CHUNK):
        chunk = slice(start, start + _PICTURE_CHUNK)
        spectrum = dctn(_content(thumbnails[chunk]), axes=(1, 2), norm="ortho")
        low = spectrum[:, :_FREQUENCIES, :_FREQUENCIES].reshape(len(spectrum), -1).copy()
        low[:, 0] = 0.0
        hashes[chunk] = np.packbits(low > np.median(low, axis=1, keepdims=True), axis=1)
    return hashes


def near_duplicates_of(thumbnails: np.ndarray, known_fingerprints: np.ndarray) -> np.ndarray:
    """Return which images, as they are or mirrored, are near-duplicates of known ones.

    Args:
        thumbnails: uint8 (n, 64, 64) of the images.
        known_fingerprints: uint8 (m, 32), from ``fingerprints``, of the known images.

    Returns:
        bool (n,).
    """
    found = np.zeros(len(thumbnails), bool)
    for variant in (thumbnails, thumbnails[:, :, ::-1]):
        for start, distances in _distances(fingerprints(variant), known_fingerprints):
            found[start : start + len(distances)] |= (distances <= NEAR_BITS).any(axis=1)
    return found


def agreement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the share of blocks that correlate in each pair of thumbnails.

    Contents are compared in blocks of 8 x 8 pixels, in place and shifted by one pixel. Flat blocks do
    not count; blocks blank in one of the two (a file that ended early, a mask) do not either, as long as
    enough others remain.

    Args:
        first, second: uint8 (m, 64, 64).

    Returns:
        float64 (m,): share of the compared blocks that agree at the best shift, in [0, 1].
    """
    left, left_deviation = _blocks(_content(first))
    right = _content(second)
    best = np.zeros(len(first))
    for shift in _SHIFTS:
        other, other_deviation = _blocks(np.roll(right, shift, axis=(1, 2)))
        informative = np.maximum(left_deviation, other_deviation) > _INFORMATIVE
        compared = informative & (np.minimum(left_deviation, other_deviation) >= _BLANK)
        covariance = np.einsum("ijk,ijk->ij", left, other) / (_BLOCK * _BLOCK)
        # One grey level squared of noise: a correlation of hardly any contrast is no evidence.
        noisy = left_deviation * other_deviation + 1.0
        agrees = (compared & (covariance > _CORRELATED * noisy)).sum(axis=1)
        used = compared.sum(axis=1)
        enough = (used >= _LEAST_BLOCKS) & (used >= _LEAST_COMPARED * informative.sum(axis=1))
        best = np.maximum(best, np.where(enough, agrees / np.maximum(used, 1), 0.0))
    identical = (first == second).all(axis=(1, 2)) & (np.ptp(first, axis=(1, 2)) > 0)
    best[identical] = 1.0
    return best


def _verified_pairs(
    first: np.ndarray, second: np.ndarray, first_hashes: np.ndarray, second_hashes: np.ndarray
) -> np.ndarray:
    """Return int (m, 2): the pairs i < j where first[i] and second[j] are near and agree."""
    limits, needed = (np.array(column) for column in zip(*VERIFIED, strict=True))
    found = [np.zeros((0, 2), np.int64)]
    for start, distances in _distances(first_hashes, second_hashes, upper=True):
        rows, columns = np.nonzero(np.triu(distances <= FAR_BITS, 1))
        pairs = np.column_stack([rows, columns]) + start
        bits = distances[rows, columns]
        for at in range(0, len(pairs), _PICTURE_CHUNK):
            chunk = pairs[at : at + _PICTURE_CHUNK]
            row = np.searchsorted(limits, bits[at : at + _PICTURE_CHUNK])
            agrees = agreement(first[chunk[:, 0]], second[chunk[:, 1]]) >= needed[row]
            found.append(chunk[agrees])
    return np.concatenate(found)


def _distances(
    first: np.ndarray, second: np.ndarray, *, upper: bool = False
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first row and the Hamming distances, uint16 (rows, columns), of chunks of ``first``.

    ``upper`` leaves out the columns before the chunk's first row, which pairs i < j do not need.
    """
    rows = np.ascontiguousarray(first).view(np.uint64)
    columns = np.ascontiguousarray(second).view(np.uint64)
    for start in range(0, len(rows), _HASH_CHUNK):
        chunk = rows[start : start + _HASH_CHUNK]
        others = columns[start:] if upper else columns
        distances = np.zeros((len(chunk), len(others)), np.uint16)
        for word in range(rows.shape[1]):
            distances += np.bitwise_count(chunk[:, word, None] ^ others[None, :, word])
        yield start, distances


def _content(thumbnails: np.ndarray) -> np.ndarray:
    """Return float32 (n, 64, 64): black borders off, stretched to the square, mean 0, even contrast.

    So a letterbox one pixel wider or narrower by rounding changes nothing, and neither does a picture
    that was squeezed into a square.
    """
    content = np.empty(thumbnails.shape, np.float32)
    for index, thumbnail in enumerate(thumbnails):
        bright = thumbnail > _BLACK * thumbnail.max()
        rows, columns = np.flatnonzero(bright.any(axis=1)), np.flatnonzero(bright.any(axis=0))
        if min(len(rows), len(columns)) >= _SMALLEST_CONTENT:
            thumbnail = thumbnail[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        stretched = resize(thumbnail.astype(np.float32), THUMBNAIL_SIZE, THUMBNAIL_SIZE)
        content[index] = cv2.GaussianBlur(stretched, (0, 0), _BLUR)
    content -= content.mean(axis=(1, 2), keepdims=True)
    # A nearly constant picture stays flat: its rounding noise is no content.
    content *= _CONTRAST / np.maximum(content.std(axis=(1, 2), keepdims=True), 2.0)
    return content


def _blocks(content: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 (m, blocks, pixels) less each block's mean, and (m, blocks) deviations."""
    side = THUMBNAIL_SIZE // _BLOCK
    blocks = content.reshape(-1, side, _BLOCK, side, _BLOCK).swapaxes(2, 3)
    blocks = blocks.reshape(-1, side * side, _BLOCK * _BLOCK)
    blocks = blocks - blocks.mean(axis=2, keepdims=True)
    return blocks, np.sqrt(np.einsum("ijk,ijk->ij", blocks, blocks) / (_BLOCK * _BLOCK))
