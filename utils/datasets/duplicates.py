"""Near-duplicate radiographs found on thumbnails: exact, re-encoded, resized or mirrored copies.

A 256-bit perceptual hash proposes pairs; only pairs whose thumbnails then agree block by block are
joined, so that different patients in the same projection are not chained into one group. The
thresholds are chosen on real pairs looked at as pictures: docs/datasets.md has the counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

THUMBNAIL_SIZE = 64
# Lowest frequencies a side of the cosine transform that the hash keeps: 16 * 16 = 256 bits.
_FREQUENCIES = 16

# Pairs further apart than this many of the 256 bits are not looked at: copies whose file ends early
# were found up to 62 bits away from the whole picture.
CANDIDATE_BITS = 64
# A fingerprint alone says "the same picture" up to here; different pictures were 18 bits or more apart.
SEEN_BITS = 14

_BLOCK = 8  # pixels a side of the blocks compared
_BLOCKS = (THUMBNAIL_SIZE // _BLOCK) ** 2
_INFORMATIVE = 3.0  # grey levels (deviation in a block) from which a block shows something
_BLANK = 0.75  # grey levels below which a block is filled in: a strip where a file ended, a mask
_CORRELATED = 0.9  # a block agrees from this correlation on
AGREEMENT = 0.80  # part of the compared blocks that must agree
_LEAST_BLOCKS = 8  # fewer blocks than that prove nothing
_LEAST_COMPARED = 0.4  # part of the informative blocks that must be there in both pictures
_WORTH_ALIGNING = 0.3  # agreement as they lie from which shifts by a pixel are tried
_SHIFTS = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0))

_HASH_CHUNK = 256  # rows of the distance table held at once
_PAIR_CHUNK = 2048  # pairs verified at once


@dataclass(frozen=True, eq=False)
class DuplicateGroups:
    """Which images show the same picture.

    Args:
        group: int (n,), the same number for images of one group; every image is in one.
        pairs: int (m, 2), the verified pairs, the smaller index first.
        mirrored: bool (m,), whether the pair agrees only once one picture is mirrored.
    """

    group: np.ndarray
    pairs: np.ndarray
    mirrored: np.ndarray

    @property
    def sizes(self) -> Counter[int]:
        """Size of a group to the number of groups of that size, for groups of two and more."""
        counts = np.bincount(self.group)
        return Counter(int(size) for size in counts if size > 1)

    def report(self) -> dict[str, object]:
        """Return the counts for a report, as JSON."""
        sizes = self.sizes
        return {
            "verified_pairs": len(self.pairs),
            "mirrored_pairs": int(self.mirrored.sum()),
            "groups": sum(sizes.values()),
            "images_in_groups": sum(size * count for size, count in sizes.items()),
            "largest_group": max(sizes, default=1),
            "sizes": {str(size): sizes[size] for size in sorted(sizes)},
        }


def fingerprints(thumbnails: np.ndarray) -> np.ndarray:
    """Return the perceptual hash of each thumbnail.

    A bit a coefficient of the 16 x 16 lowest frequencies of the cosine transform: whether it is above
    their median. The first, the mean brightness, counts as zero.

    Args:
        thumbnails: uint8 (n, 64, 64), made by ``preprocess.fit(pixels, 64)``.

    Returns:
        uint8 (n, 32): 256 bits each.

    Source:
        Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), section
        3.2.1, with 256 bits instead of 64.
    """
    if thumbnails.shape[1:] != (THUMBNAIL_SIZE, THUMBNAIL_SIZE):
        raise ValueError(f"thumbnails are (n, 64, 64), not {thumbnails.shape}")
    hashes = np.zeros((len(thumbnails), _FREQUENCIES**2 // 8), np.uint8)
    for start in range(0, len(thumbnails), _PAIR_CHUNK):
        spectrum = dctn(
            thumbnails[start : start + _PAIR_CHUNK].astype(np.float32), axes=(1, 2), norm="ortho"
        )
        low = spectrum[:, :_FREQUENCIES, :_FREQUENCIES].reshape(len(spectrum), -1).copy()
        low[:, 0] = 0.0
        # Rounding noise in the spectrum of a constant picture must not look like content.
        low[np.abs(low) < 1e-2] = 0.0
        above = low > np.median(low, axis=1, keepdims=True)
        hashes[start : start + _PAIR_CHUNK] = np.packbits(above, axis=1)
    return hashes


def group_duplicates(thumbnails: np.ndarray) -> DuplicateGroups:
    """Group the images that show the same picture: exact, re-encoded, resized or mirrored.

    Mirrored means left and right exchanged. Turned copies are not looked for: see docs/datasets.md.

    Args:
        thumbnails: uint8 (n, 64, 64), made by ``preprocess.fit(pixels, 64)``.

    Returns:
        Groups joined over verified pairs alone.
    """
    count = len(thumbnails)
    hashes = fingerprints(thumbnails)
    flipped = np.ascontiguousarray(thumbnails[:, :, ::-1])
    plain = _verified(thumbnails, thumbnails, hashes, hashes)
    mirrored = _verified(thumbnails, flipped, hashes, fingerprints(flipped))
    known = {tuple(pair) for pair in plain.tolist()}
    mirrored = np.array(
        [pair for pair in mirrored.tolist() if tuple(pair) not in known], np.int64
    ).reshape(-1, 2)
    pairs = np.concatenate([plain, mirrored])
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, group = connected_components(links, directed=False)
    return DuplicateGroups(
        group=group.astype(np.int64),
        pairs=pairs,
        mirrored=np.arange(len(pairs)) >= len(plain),
    )


def seen_before(thumbnails: np.ndarray, seen_fingerprints: np.ndarray) -> np.ndarray:
    """Say which images, plain or mirrored, are copies of those whose fingerprints were kept.

    Args:
        thumbnails: uint8 (n, 64, 64) of the images asked about.
        seen_fingerprints: uint8 (m, 32), from ``fingerprints``, of the images seen.

    Returns:
        bool (n,).
    """
    seen = np.zeros(len(thumbnails), bool)
    for view in (thumbnails, np.ascontiguousarray(thumbnails[:, :, ::-1])):
        for start, distances in _distances(fingerprints(view), seen_fingerprints):
            seen[start : start + len(distances)] |= (distances <= SEEN_BITS).any(axis=1)
    return seen


def agreement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Say how much of each pair of thumbnails shows the same, whatever brightness and contrast.

    The thumbnails are compared in blocks of 8 x 8 pixels by correlation, as they lie and shifted by one
    pixel. Blocks that show nothing do not count; blocks filled in on one side (a file that ended early,
    a mask) do not either, as long as enough others remain.

    Args:
        first, second: uint8 (m, 64, 64).

    Returns:
        float64 (m,): part of the compared blocks that agree, in [0, 1].
    """
    centred, deviation = _blocks(first)
    best = _agreement_as_they_lie(centred, deviation, second)
    near = (best >= _WORTH_ALIGNING) & (best < 1.0)
    for shift in _SHIFTS if near.any() else ():
        shifted = np.roll(second[near], shift, axis=(1, 2))
        best[near] = np.maximum(
            best[near], _agreement_as_they_lie(centred[near], deviation[near], shifted)
        )
    identical = (first == second).all(axis=(1, 2)) & (
        first.max(axis=(1, 2)) > first.min(axis=(1, 2))
    )
    best[identical] = 1.0
    return best


def _verified(
    first: np.ndarray, second: np.ndarray, first_hashes: np.ndarray, second_hashes: np.ndarray
) -> np.ndarray:
    """Return int (m, 2): pairs i < j where first[i] and second[j] are near and agree."""
    found = [np.zeros((0, 2), np.int64)]
    for pairs in _candidates(first_hashes, second_hashes):
        agrees = agreement(first[pairs[:, 0]], second[pairs[:, 1]]) >= AGREEMENT
        found.append(pairs[agrees])
    return np.concatenate(found)


def _candidates(first: np.ndarray, second: np.ndarray) -> Iterator[np.ndarray]:
    """Yield int (m, 2) chunks of the pairs i < j whose hashes are near."""
    for start, distances in _distances(first, second, upper=True):
        rows, columns = np.nonzero(distances <= CANDIDATE_BITS)
        pairs = np.column_stack([rows + start, columns + start])
        pairs = pairs[pairs[:, 0] < pairs[:, 1]]
        for part in range(0, len(pairs), _PAIR_CHUNK):
            yield pairs[part : part + _PAIR_CHUNK]


def _distances(
    first: np.ndarray, second: np.ndarray, *, upper: bool = False
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first row and the Hamming distances, uint16 (rows, m), of a chunk of ``first``.

    ``upper`` leaves out the columns before the chunk's first row, which pairs i < j do not need.
    """
    rows = np.ascontiguousarray(first).view(np.uint64)
    columns = np.ascontiguousarray(second).view(np.uint64)
    for start in range(0, len(rows), _HASH_CHUNK):
        chunk = rows[start : start + _HASH_CHUNK]
        against = columns[start:] if upper else columns
        distances = np.zeros((len(chunk), len(against)), np.uint16)
        for word in range(rows.shape[1]):
            distances += np.bitwise_count(chunk[:, word, None] ^ against[None, :, word])
        yield start, distances


def _blocks(thumbnails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 (m, blocks, pixels) less each block's mean, and (m, blocks) deviations."""
    side = THUMBNAIL_SIZE // _BLOCK
    blocks = thumbnails.reshape(-1, side, _BLOCK, side, _BLOCK).swapaxes(2, 3)
    blocks = blocks.reshape(-1, _BLOCKS, _BLOCK * _BLOCK).astype(np.float32)
    blocks -= blocks.mean(axis=2, keepdims=True)
    return blocks, np.sqrt(np.einsum("ijk,ijk->ij", blocks, blocks) / (_BLOCK * _BLOCK))


def _agreement_as_they_lie(
    centred: np.ndarray, deviation: np.ndarray, second: np.ndarray
) -> np.ndarray:
    """Return the part of the compared blocks that agree, without moving a picture."""
    other, other_deviation = _blocks(second)
    informative = np.maximum(deviation, other_deviation) > _INFORMATIVE
    compared = informative & (np.minimum(deviation, other_deviation) >= _BLANK)
    covariance = np.einsum("ijk,ijk->ij", centred, other) / (_BLOCK * _BLOCK)
    # One grey level squared of noise: correlation of hardly any contrast proves nothing.
    agrees = compared & (covariance > _CORRELATED * (deviation * other_deviation + 1.0))
    used = compared.sum(axis=1)
    enough = (used >= _LEAST_BLOCKS) & (used >= _LEAST_COMPARED * informative.sum(axis=1))
    return np.where(enough, agrees.sum(axis=1) / np.maximum(used, 1), 0.0)
