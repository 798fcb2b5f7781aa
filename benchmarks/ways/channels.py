"""Ways that use colour channels, palettes or transparency."""

from __future__ import annotations

import numpy as np
from PIL import Image

from benchmarks.ways.files import deep, jpeg, tiff, to_bytes, webp
from benchmarks.ways.way import Change, Encode, Way, unchanged
from tests.support.raster_files import deep_png, save

KIND = "channels"


def in_one_channel(channel: int, others: int = 0) -> Change:
    """Return the change to RGB with the picture in one channel and a level in the others."""

    def change(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
        colour = np.full((*grey.shape, 3), others, np.uint8)
        colour[..., channel] = grey
        return colour

    return change


def with_alpha(alpha: int) -> Change:
    """Return the change to RGBA of one opacity."""
    return lambda grey, _: np.dstack([grey, grey, grey, np.full_like(grey, alpha)])


def see_through_border(grey: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return RGBA with a border that alpha hides, as screenshots of windows with a shadow have."""
    border = min(grey.shape) // 12
    shown = np.pad(np.full_like(grey, 255), border)
    padded = np.pad(grey, border, constant_values=128)
    return np.dstack([padded, padded, padded, shown])


def tinted(red: float, green: float, blue: float, haze: float = 0.0) -> Change:
    """Return the change to a tint, with some blue in what is black."""
    gains, base = np.array([red, green, blue]), np.array([0, 0, haze])
    return lambda grey, _: to_bytes(grey[..., None] * gains + base)


def mode(name: str, format: str, **options: object) -> Encode:
    """Return the encoder that converts to a Pillow mode first."""
    return lambda grey: save(Image.fromarray(grey).convert(name), format, **options)


def shuffled_palette(grey: np.ndarray) -> bytes:
    """Encode as a palette PNG whose indices are in no order of brightness."""
    order = np.random.default_rng(0).permutation(256).astype(np.uint8)
    image = Image.fromarray(order[grey], "P")
    image.putpalette(np.repeat(np.argsort(order), 3).astype(np.uint8).tobytes())
    return save(image, "PNG")


WAYS = (
    *(
        Way(KIND, f"in the {name} channel alone", in_one_channel(number))
        for number, name in enumerate(("red", "green", "blue"))
    ),
    Way(KIND, "in the blue channel, the others white", in_one_channel(2, 255)),
    Way(KIND, "in the red channel alone, JPEG", in_one_channel(0), jpeg),
    *(Way(KIND, f"PNG with alpha {alpha} of 255", with_alpha(alpha)) for alpha in (0, 8, 16, 128)),
    Way(KIND, "grey PNG with alpha 0", lambda grey, _: np.dstack([grey, np.zeros_like(grey)])),
    Way(KIND, "grey PNG with the picture as its alpha", lambda grey, _: np.dstack([grey, grey])),
    Way(KIND, "PNG with a border that alpha hides", see_through_border),
    Way(KIND, "WebP with alpha 8 of 255", with_alpha(8), webp),
    Way(KIND, "TIFF with alpha 0", with_alpha(0), tiff),
    Way(KIND, "blue-based film", tinted(0.55, 0.75, 0.75, 60)),
    Way(KIND, "sepia", tinted(1.0, 0.85, 0.6)),
    Way(KIND, "red tint", tinted(1.0, 0.25, 0.2)),
    Way(KIND, "PNG with a palette", unchanged, mode("P", "PNG")),
    Way(KIND, "PNG with a shuffled palette", unchanged, shuffled_palette),
    Way(KIND, "CMYK JPEG", unchanged, mode("CMYK", "JPEG", quality=90)),
    Way(
        KIND,
        "16-bit RGB PNG",
        lambda grey, _: np.dstack([deep(grey, 16)] * 3),
        lambda samples: deep_png(samples, 2),
    ),
    Way(
        KIND,
        "12 bits in 16-bit RGB PNG",
        lambda grey, _: np.dstack([deep(grey, 12)] * 3),
        lambda samples: deep_png(samples, 2),
    ),
)
