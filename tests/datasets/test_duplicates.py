"""Near-duplicates: copies of drawn and real radiographs, and different patients."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn, idctn

from tests.support.pictures import encode
from tests.support.trees import draw_distinct
from utils.datasets.duplicates import NEAR_BITS, fingerprints, group_duplicates, near_duplicates_of
from utils.imaging.geometry import resize
from utils.preprocess import letterbox


def thumbnail(picture: np.ndarray) -> np.ndarray:
    return letterbox(np.ascontiguousarray(picture), 64)


def picture(seed: int, height: int = 230, width: int = 171) -> np.ndarray:
    return draw_distinct(height, width, seed=seed)


def stack(*pictures: np.ndarray) -> np.ndarray:
    return np.stack([thumbnail(one) for one in pictures])


def recompressed(original: np.ndarray, quality: int) -> np.ndarray:
    content = np.frombuffer(encode(original, "JPEG", quality=quality), np.uint8)
    return cv2.imdecode(content, cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255


def smaller(original: np.ndarray) -> np.ndarray:
    height, width = original.shape
    return resize(
        original, round(height * 240 / max(height, width)), round(width * 240 / max(height, width))
    )


def marked(original: np.ndarray) -> np.ndarray:
    copy = original.copy()
    copy[20:32, 15:25] = 1.0
    return copy


COARSE = (np.arange(64) < 16)[:, None] & (np.arange(64) < 16)

COPIES = {
    "exact": lambda one: one,
    "re-encoded": lambda one: recompressed(one, 40),
    "shrunk": lambda one: resize(one, 115, 86),
    "shrunk to an odd width": lambda one: resize(one, 130, 97),
    "enlarged": lambda one: resize(one, 460, 342),
    "mirrored": lambda one: one[:, ::-1],
    "mirrored, shrunk and re-encoded": lambda one: recompressed(resize(one[:, ::-1], 160, 119), 60),
    "darker": lambda one: one * 0.5,
    "squeezed into a square": lambda one: resize(one, 224, 224),
}


@pytest.mark.parametrize("change", COPIES)
def test_a_copy_joins_its_original_alone(change):
    pictures = [picture(seed) for seed in range(6)]
    copies = [COPIES[change](one) for one in pictures]
    groups = group_duplicates(stack(*pictures, *copies)).group
    np.testing.assert_array_equal(groups[:6], groups[6:])
    assert len(set(groups.tolist())) == 6


@pytest.mark.parametrize("change", COPIES)
def test_a_fingerprint_recognises_copies(change):
    originals = stack(*(picture(seed) for seed in range(6)))
    copies = stack(*(COPIES[change](picture(seed)) for seed in range(6)))
    assert near_duplicates_of(copies, fingerprints(originals)).all()


def test_a_marked_copy_is_found():
    groups = group_duplicates(stack(picture(1), marked(picture(1)), picture(2))).group
    assert groups[0] == groups[1] != groups[2]


def test_a_truncated_copy_is_found():
    cut = picture(3).copy()
    cut[-6:] = 0.5
    groups = group_duplicates(stack(picture(3), cut, picture(4)))
    assert groups.group[0] == groups.group[1] != groups.group[2]


def test_different_pictures_do_not_match():
    pictures = stack(*(picture(seed) for seed in range(100, 200)))
    known = stack(*(picture(seed) for seed in range(100)))
    assert not near_duplicates_of(pictures, fingerprints(known)).any()


def test_no_known_images_give_no_near_duplicates():
    assert not near_duplicates_of(stack(picture(1)), np.zeros((0, 32), np.uint8)).any()


def test_near_hashes_need_agreeing_pixels():
    # Two pictures with the same coarse frequencies, which the hash sees, and fine ones of their own.
    rng = np.random.default_rng(0)
    spectrum = dctn(picture(5, 64, 64).astype(np.float64), norm="ortho")
    spectrum[0, 0] = 0.5 * 64
    spectra = [spectrum, np.where(COARSE, spectrum, rng.normal(0, 0.45, (64, 64)))]
    pair = np.stack(
        [np.rint(255 * np.clip(idctn(one, norm="ortho"), 0, 1)).astype(np.uint8) for one in spectra]
    )
    distance = int(np.bitwise_count(fingerprints(pair[:1]) ^ fingerprints(pair[1:])).sum())
    assert distance <= 64, "only such pairs reach the comparison of pixels"
    assert len(group_duplicates(pair).pairs) == 0


def test_copies_of_copies_make_one_group_of_three():
    once = recompressed(picture(7), 60)
    twice = recompressed(resize(once, 160, 119), 60)
    groups = group_duplicates(stack(picture(7), once, twice, picture(8)))
    assert groups.counts().sizes == {"3": 1}
    assert groups.counts().largest_group == 3


def test_plain_and_mirrored_pairs_are_counted():
    pictures = [picture(1), picture(1), picture(2), picture(2)[:, ::-1], picture(3)]
    counts = group_duplicates(stack(*pictures)).counts()
    assert counts.model_dump() == {
        "verified_pairs": 2,
        "mirrored_pairs": 1,
        "groups": 2,
        "images_in_groups": 4,
        "largest_group": 2,
        "sizes": {"2": 2},
    }


def test_blank_pictures_are_no_duplicates():
    blank = np.zeros((3, 64, 64), np.uint8)
    blank[1], blank[2] = 128, 128
    assert len(group_duplicates(blank).pairs) == 0


def test_an_empty_dataset_has_no_groups():
    groups = group_duplicates(np.zeros((0, 64, 64), np.uint8))
    assert len(groups.group) == 0
    assert groups.counts().largest_group == 1


def test_fingerprint_bits_follow_their_definition():
    thumbnails = stack(picture(9, 200, 200))
    # The cosine transform written out as its sum, on the same blurred picture.
    blurred = cv2.GaussianBlur(thumbnails[0].astype(np.float32), (0, 0), 1.0)
    assert thumbnails.max() / 32 < thumbnails.min(), "nothing of this picture counts as border"
    rows = np.cos(np.pi * (2 * np.arange(64) + 1) * np.arange(16)[:, None] / 128)
    rows[0] /= np.sqrt(2)
    low = (rows @ (blurred - blurred.mean()) @ rows.T).ravel()
    low[0] = 0.0
    bits = np.unpackbits(fingerprints(thumbnails)[0]).astype(bool)
    clear = np.abs(low - np.median(low)) > 1e-3 * np.abs(low).max()
    assert clear.sum() > 150
    np.testing.assert_array_equal(bits[clear], (low > np.median(low))[clear])


def test_thumbnails_of_another_size_are_refused():
    with pytest.raises(ValueError, match="64"):
        fingerprints(np.zeros((2, 32, 32), np.uint8))


def test_the_thumbnails_are_not_modified():
    thumbnails = stack(picture(1), picture(2))
    before = thumbnails.copy()
    group_duplicates(thumbnails)
    near_duplicates_of(thumbnails, fingerprints(thumbnails))
    np.testing.assert_array_equal(thumbnails, before)


def real_picture(file) -> np.ndarray:
    with Image.open(file) as image:
        # Decoded at a fraction of the size: thumbnails have 64 pixels.
        image.draft("L", (512, 512))
        return np.asarray(image.convert("L"), np.float32) / 255


def test_real_copies_are_found(shared_data):
    images = shared_data / "fracatlas" / "images"
    # Pairs inspected by eye: byte-different copies in both classes; and one copy beside two
    # different patients' hands and feet in the same projection.
    copies = [
        ("Fractured/IMG0002998.jpg", "Non_fractured/IMG0004280.jpg"),
        ("Fractured/IMG0002886.jpg", "Non_fractured/IMG0004243.jpg"),
        ("Fractured/IMG0004262.jpg", "Non_fractured/IMG0002952.jpg"),
    ]
    names = [name for pair in copies for name in pair]
    others = sorted((images / "Non_fractured").glob("*.jpg"))[:60]
    pictures = [real_picture(images / name) for name in names] + [
        real_picture(file) for file in others if f"Non_fractured/{file.name}" not in names
    ]
    groups = group_duplicates(stack(*pictures)).group.tolist()
    assert [groups[0], groups[2], groups[4]] == [groups[1], groups[3], groups[5]]
    assert len(set(groups[:6])) == 3
    assert not set(groups[:6]) & set(groups[6:])


def test_real_patients_are_no_near_duplicates(shared_data):
    files = sorted((shared_data / "fracatlas" / "images" / "Fractured").glob("*.jpg"))
    originals = [real_picture(file) for file in files[200:320]]
    pictures = stack(*originals)
    groups = group_duplicates(pictures).group
    _, first = np.unique(groups, return_index=True)
    single = pictures[np.sort(first)]
    half = len(single) // 2
    assert half >= 50
    assert not near_duplicates_of(single[:half], fingerprints(single[half:])).any()
    copies = stack(*(recompressed(smaller(one), 60) for one in originals[:40]))
    assert near_duplicates_of(copies, fingerprints(pictures[:40])).all()
    assert NEAR_BITS < 26, "different patients' radiographs come as near as 26 bits"
