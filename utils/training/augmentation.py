"""Augmentation layers of the training graph: random pose and tone, then scaling.

They are no part of the saved network. With augmentation off they equal ``preprocess.scale`` to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import keras
from keras import KerasTensor, ops

from utils.preprocess import SCALINGS, PreprocessSpec

FITTED, LESIONS = "fitted", "lesions"


class RandomPose(keras.layers.Layer):
    """Random flip, rotation, zoom and translation of each image, in one interpolation.

    Args:
        mirror: probability of a left-right flip.
        degrees: largest rotation either way.
        zoom: largest relative change of size either way.
        shift: largest translation either way, as a share of the side.
        seed: of the layer's own random numbers.
    """

    def __init__(
        self,
        *,
        mirror: float = 0.5,
        degrees: float = 25.0,
        zoom: float = 0.25,
        shift: float = 0.06,
        seed: int = 0,
    ) -> None:
        super().__init__(dtype="float32", name="random_pose")
        self.mirror, self.degrees, self.zoom, self.shift = mirror, degrees, zoom, shift
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: KerasTensor, training: bool = False) -> KerasTensor:
        """Return float32 (n, size, size, channels), unchanged where not training."""
        images = ops.cast(images, "float32")
        if not training:
            return images
        count, size = ops.shape(images)[0], images.shape[1]
        draw = lambda limit: keras.random.uniform(  # noqa: E731
            (count,), -limit, limit, seed=self.seed_generator
        )
        angle = draw(math.radians(self.degrees))
        ratio = 1.0 / (1.0 + draw(self.zoom))
        flips = keras.random.uniform((count,), seed=self.seed_generator) < self.mirror
        sign = ops.where(flips, -1.0, 1.0)
        # The transform maps output to input coordinates, about the centre.
        cosine, sine = ratio * ops.cos(angle), ratio * ops.sin(angle)
        middle = (size - 1) / 2
        a, b, d, e = sign * cosine, -sine, sign * sine, cosine
        right = middle - a * middle - b * middle + size * draw(self.shift)
        down = middle - d * middle - e * middle + size * draw(self.shift)
        zeros = ops.zeros_like(a)
        transform = ops.stack([a, b, right, d, e, down, zeros, zeros], axis=1)
        return ops.image.affine_transform(
            images, transform, interpolation="bilinear", fill_mode="constant", fill_value=0.0
        )


class RandomTone(keras.layers.Layer):
    """Random brightness, contrast and noise of each image; black borders stay black."""

    # Largest change either way: as a share of the full scale; relative, about the middle grey.
    BRIGHTNESS, CONTRAST = 0.12, 0.25
    # Largest standard deviation of the Gaussian noise, as a share of the full scale.
    NOISE = 0.02

    def __init__(self, seed: int = 0) -> None:
        super().__init__(dtype="float32", name="random_tone")
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, images: KerasTensor, training: bool = False) -> KerasTensor:
        """Return float32 (n, size, size, 1), unchanged where not training."""
        if not training:
            return images
        each = (ops.shape(images)[0], 1, 1, 1)
        draw = lambda low, high: keras.random.uniform(  # noqa: E731
            each, low, high, seed=self.seed_generator
        )
        gain = 1.0 + draw(-self.CONTRAST, self.CONTRAST)
        offset = 255.0 * draw(-self.BRIGHTNESS, self.BRIGHTNESS)
        grain = keras.random.normal(ops.shape(images), seed=self.seed_generator)
        varied = (images - 127.5) * gain + 127.5 + offset
        varied = varied + grain * 255.0 * draw(0.0, self.NOISE)
        return ops.where(images > 0, varied, images)


class Scale(keras.layers.Layer):
    """Lookup of rounded grey levels in the table of a scaling, as ``preprocess.scale`` does."""

    def __init__(self, scaling: str, name: str = "scale") -> None:
        super().__init__(dtype="float32", name=name)
        self.table = SCALINGS[scaling]

    def call(self, images: KerasTensor) -> KerasTensor:
        """Return float32 (n, size, size, 3) from (n, size, size, 1) levels in 0 to 255."""
        levels = ops.cast(ops.round(ops.clip(images[..., 0], 0.0, 255.0)), "int32")
        return ops.take(ops.convert_to_tensor(self.table), levels, axis=0)


def reseed(model: keras.Model, seed: int, epoch: int) -> None:
    """Make an epoch's random numbers depend on the seed and the epoch alone.

    Weight files lack the state of random layers: without this a resumed run would differ from an
    uninterrupted one.
    """
    for number, layer in enumerate(_all_layers(model)):
        generator = getattr(layer, "seed_generator", None)
        if generator is not None:
            generator.state.assign([seed * 1009 + number, epoch << 20])


def _all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)
        else:
            yield layer


def training_input(
    spec: PreprocessSpec, *, augment: bool, seed: int = 0, also: Sequence[str] = ()
) -> keras.Model:
    """Build the layers from prepared images and lesion masks to the input of the network.

    Args:
        spec: image size and scaling.
        augment: augment the images; only in training.
        seed: of the random layers.
        also: further scalings in which the same images are returned.

    Returns:
        A model of two inputs, ``fitted`` and ``lesions``, uint8 (n, size, size, 1) each, and two
        outputs: the network's input, and the lesions as float32 (n, size, size, 1) in [0, 255], transformed
        like their images; then the images in each other scaling.
    """
    shape = (spec.image_size, spec.image_size, 1)
    entries = [keras.Input(shape, dtype="uint8", name=name) for name in (FITTED, LESIONS)]
    both = ops.concatenate([ops.cast(entry, "float32") for entry in entries], axis=-1)
    if augment:
        both = RandomPose(seed=seed)(both)
    images, lesions = both[..., :1], both[..., 1:]
    if augment:
        images = RandomTone(seed + 1)(images)
    others = [Scale(name, f"scale_{number}")(images) for number, name in enumerate(also)]
    outputs = [Scale(spec.scaling)(images), lesions, *others]
    return keras.Model(
        dict(zip((FITTED, LESIONS), entries, strict=True)), outputs, name="training_input"
    )
