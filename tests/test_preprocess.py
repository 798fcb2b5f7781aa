"""Preprocessing: fitting, scaling and placement."""

from __future__ import annotations

from dataclasses import asdict

import keras
import numpy as np
import pytest

from tests.support.pictures import draw_radiograph
from utils.errors import BundleError, UnknownName
from utils.preprocess import (
    SCALINGS,
    PreprocessSpec,
    fit,
    preprocess,
    scale,
)


def test_a_tall_picture_is_centred_on_black() -> None:
    fitted = fit(np.ones((96, 48), np.float32), 64)
    assert fitted.shape == (64, 64)
    assert fitted.dtype == np.uint8
    assert (fitted[:, 16:48] == 255).all()
    assert not fitted[:, :16].any()
    assert not fitted[:, 48:].any()


def test_an_equal_size_keeps_the_grey_levels() -> None:
    levels = np.arange(64 * 64).reshape(64, 64) % 256
    assert np.array_equal(fit((levels / 255).astype(np.float32), 64), levels)


@pytest.mark.parametrize(
    ("scaling", "application"),
    [("torch", "densenet"), ("tf", "mobilenet_v2"), ("caffe", "resnet50"), ("caffe", "vgg16")],
)
def test_scalings_are_those_that_keras_documents(scaling: str, application: str) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    expected = getattr(keras.applications, application).preprocess_input(
        np.repeat(levels[..., None], 3, axis=-1).astype(np.float64)
    )
    np.testing.assert_allclose(scale(levels, scaling), expected, atol=1e-4)


def test_raw_and_unit_scalings_keep_the_levels() -> None:
    levels = np.array([[0, 128, 255]], np.uint8)
    assert np.array_equal(scale(levels, "raw")[0, :, 0], [0, 128, 255])
    np.testing.assert_allclose(scale(levels, "unit")[0, :, 2], [0, 128 / 255, 1])


def test_preprocessing_leaves_its_input_alone() -> None:
    picture = draw_radiograph()
    before = picture.copy()
    prepared = preprocess(picture, PreprocessSpec(64, "torch"))
    assert np.array_equal(picture, before)
    assert prepared.shape == (64, 64, 3)
    assert prepared.dtype == np.float32


def test_a_specification_survives_the_sidecar() -> None:
    spec = PreprocessSpec(320, "torch")
    assert PreprocessSpec(**asdict(spec)) == spec


@pytest.mark.parametrize(
    "wrong",
    [
        {"image_size": 8, "scaling": "torch"},
        {"image_size": 4096, "scaling": "torch"},
        {"image_size": 64, "scaling": "torch", "version": 1},
        {"image_size": 64, "scaling": "torch", "fit": "crop"},
    ],
)
def test_an_unknown_specification_is_refused(wrong: dict) -> None:
    with pytest.raises(BundleError):
        PreprocessSpec(**wrong)


def test_an_unknown_scaling_names_the_choices() -> None:
    with pytest.raises(UnknownName, match=", ".join(SCALINGS)):
        PreprocessSpec(64, "imagenet")
