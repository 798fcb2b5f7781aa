"""utils.training.augmentation: exact when off, bounded when on."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.pictures import draw_radiograph, encode
from utils.formats import decode
from utils.preprocess import SCALINGS, PreprocessSpec, fit, preprocess
from utils.training.augmentation import FITTED, LESIONS, RandomPose, RandomTone, training_input


@pytest.fixture
def fitted() -> np.ndarray:
    """Four fitted radiographs, uint8 (4, 64, 64, 1)."""
    return np.stack([fit(draw_radiograph(seed=seed), 64) for seed in range(4)])[..., None]


def entries(fitted: np.ndarray, lesions: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Return the inputs of the layers by name; lesions are zero by default."""
    return {FITTED: fitted, LESIONS: np.zeros_like(fitted) if lesions is None else lesions}


@pytest.mark.parametrize("augment", [True, False])
@pytest.mark.parametrize("scaling", SCALINGS)
def test_without_augmentation_input_is_as_served(
    radiograph_png: bytes, scaling: str, augment: bool
) -> None:
    spec = PreprocessSpec(64, scaling)
    pixels = decode(radiograph_png).pixels
    layers = training_input(spec, augment=augment)
    trained_on, _ = layers(entries(fit(pixels, 64)[None, ..., None]), training=not augment)
    np.testing.assert_array_equal(np.asarray(trained_on)[0], preprocess(pixels, spec))


def test_each_image_of_a_batch_varies_by_itself(fitted: np.ndarray) -> None:
    same = np.repeat(fitted[:1], 4, axis=0)
    layers = training_input(PreprocessSpec(64, "raw"), augment=True)
    varied = np.asarray(layers(entries(same), training=True)[0])
    differences = [np.abs(varied[0] - other).mean() for other in varied[1:]]
    assert min(differences) > 1.0


def test_lesions_move_with_their_images() -> None:
    pictures = np.full((16, 64, 64, 1), 90, np.uint8)
    pictures[:, 20:30, 40:46] = 250
    lesions = np.where(pictures > 200, 255, 0).astype(np.uint8)
    layers = training_input(PreprocessSpec(64, "raw"), augment=True)
    varied, moved = (np.asarray(part) for part in layers(entries(pictures, lesions), training=True))
    for picture, mask in zip(varied[..., 0], moved[..., 0], strict=True):
        inside, outside = picture[mask > 250], picture[(mask == 0) & (picture > 0)]
        assert inside.size > 20
        assert inside.min() > outside.max()


def test_an_identity_pose_changes_nothing(fitted: np.ndarray) -> None:
    still = RandomPose(mirror=0.0, degrees=0.0, zoom=0.0, shift=0.0)
    np.testing.assert_allclose(np.asarray(still(fitted, training=True)), fitted, atol=1e-3)


def test_a_mirror_is_a_left_right_flip(fitted: np.ndarray) -> None:
    mirror = RandomPose(mirror=1.0, degrees=0.0, zoom=0.0, shift=0.0)
    flipped = np.asarray(mirror(fitted, training=True))
    np.testing.assert_allclose(flipped, fitted[:, :, ::-1].astype(np.float32), atol=1e-2)


def test_rotation_is_bounded_and_centred() -> None:
    dot = np.zeros((64, 65, 65, 1), np.uint8)
    dot[:, 32, 52] = 255
    turned = np.asarray(
        RandomPose(mirror=0.0, degrees=15.0, zoom=0.0, shift=0.0)(dot, training=True)
    )[..., 0]
    rows, columns = np.array([np.unravel_index(p.argmax(), p.shape) for p in turned]).T
    angles = np.degrees(np.arctan2(rows - 32, columns - 32))
    radii = np.hypot(rows - 32, columns - 32)
    assert np.abs(angles).max() <= 17  # fifteen, and a pixel's width
    assert np.abs(angles).max() > 7
    np.testing.assert_allclose(radii, 20, atol=1.0)


def test_tone_keeps_borders_black(fitted: np.ndarray) -> None:
    varied = np.asarray(RandomTone()(fitted.astype(np.float32), training=True))
    assert not varied[fitted == 0].any()
    assert np.abs(varied - fitted)[fitted > 0].mean() > 1.0


def test_variation_is_repeatable_by_its_seed(fitted: np.ndarray) -> None:
    spec = PreprocessSpec(64, "raw")
    first, again, other = (
        np.asarray(training_input(spec, augment=True, seed=seed)(entries(fitted), training=True)[0])
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_encoded_image_is_what_was_drawn() -> None:
    picture = draw_radiograph()
    np.testing.assert_allclose(decode(encode(picture)).pixels, picture, atol=0.5 / 255 + 1e-6)
