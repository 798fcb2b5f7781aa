"""Raster pictures to radiographs: grey levels, depth and orientation.

A sample of 8 bits is ``level / 255`` exactly. A sample of 16 bits is divided by the full scale of the
smallest of 8, 10, 12, 14 and 16 bits that holds the picture's robust highest level, because scanners and
exports store 12 bits in 16 without saying so; brighter pixels are white. Of colour and transparency see
:mod:`utils.formats.channels`.

Pillow's switch for truncated files and its size limit belong to the whole process, and threads
serve requests; so the formats open its plug-ins directly and check sizes against the header.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from utils.errors import FractureError, NotARadiograph, UnreadableImage, UnsupportedFormat
from utils.formats import channels
from utils.imaging.brightness import robust_range, sample_of
from utils.imaging.radiograph import HEADER_CONTRADICTION, Notice, Radiograph

if TYPE_CHECKING:
    from PIL.Image import Image

FULL_SCALE_BITS = (8, 10, 12, 14, 16)
ORIENTATION_TAG = 0x0112
# First bytes of pictures.
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*", b"RIFF", b"BM")
# Orientations in which rows become columns.
SIDEWAYS = (5, 6, 7, 8)
DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")
PLAIN_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
TRANSPARENCY_IGNORED = Notice(HEADER_CONTRADICTION, "formats.transparency_ignored")


@contextmanager
def codec_errors(format: str) -> Iterator[None]:
    """Raise UnreadableImage for whatever a codec raises over a damaged file."""
    try:
        yield
    except (FractureError, MemoryError):
        raise
    # Codecs raise anything at all over damaged bytes (SyntaxError, struct.error, KeyError, ...),
    # and each of them means the same to the caller.
    except Exception as error:
        raise UnreadableImage("formats.damaged", format=format, reason=error) from error


def radiograph(image: Image, format: str) -> Radiograph:
    """Load an opened picture of a format in FORMATS and return it as a radiograph, upright.

    Raises:
        UnsupportedFormat: a pixel layout that is not read.
    """
    image.load()
    if image.mode in DEEP_MODES:
        # TIFF's WhiteIsZero, which Pillow inverts for 8 bits only.
        inverted = getattr(image, "tag_v2", {}).get(262) == 0
        return from_samples(_deep_grey(image), None, format, orientation(image), inverted)
    return from_samples(*_split(image), format, orientation(image))


def from_samples(
    colour: np.ndarray,
    alpha: np.ndarray | None,
    format: str,
    orientation: int = 1,
    inverted: bool = False,
) -> Radiograph:
    """Return decoded samples as a radiograph, upright.

    Args:
        colour: uint8 or uint16, grey (height, width) or red, green and blue (height, width, 3).
        alpha: of the same type (height, width), or None; colours are not multiplied by it.
        format: name in FORMATS.
        orientation: of EXIF, 1 to 8.
        inverted: 0 is white.
    """
    levels = colour if colour.ndim == 2 else channels.picture(colour)
    pixels = levels.astype(np.float32)
    pixels /= np.float32(255 if levels.dtype == np.uint8 else full_scale(levels))
    np.minimum(pixels, np.float32(1), out=pixels)
    if inverted:
        np.subtract(np.float32(1), pixels, out=pixels)
    notices: tuple[Notice, ...] = ()
    if alpha is not None and alpha.min() < (opaque := np.iinfo(alpha.dtype).max):
        if channels.cuts_out(alpha, pixels):
            pixels *= alpha.astype(np.float32) / np.float32(opaque)
        else:
            notices = (TRANSPARENCY_IGNORED,)
    return Radiograph(upright(pixels, orientation), format, notices=notices)


def from_bgr(samples: np.ndarray, format: str, orientation: int = 1) -> Radiograph:
    """Return OpenCV's blue, green, red (and alpha) samples as a radiograph; see :func:`from_samples`."""
    alpha = samples[..., 3] if samples.shape[2] == 4 else None
    return from_samples(samples[..., 2::-1], alpha, format, orientation)


def check_single(rest: bytes, format: str) -> None:
    """Raise NotARadiograph where another picture follows the end of a file's first one.

    Viewers show the first alone: a radiograph behind it would be answered by a picture of something else.

    Args:
        rest: bytes after the picture's end.
        format: of the file, for the error.
    """
    if rest.lstrip(b"\0 \r\n").startswith(_PICTURES):
        raise NotARadiograph("formats.second_picture", format=format)


def orientation(image: Image) -> int:
    """Return the EXIF orientation, 1 where there is none or the block cannot be read."""
    try:
        found = image.getexif().get(ORIENTATION_TAG, 1)
    # A broken EXIF block is common and does not concern the pixels: viewers show such files as
    # they are stored.
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error):
        return 1
    return found if isinstance(found, int) else 1


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation (1 to 8) to (height, width) pixels.

    Source:
        EXIF 2.32 (CIPA DC-008), tag 0x0112.
    """
    if orientation in SIDEWAYS:
        pixels = pixels.T
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def full_scale(levels: np.ndarray) -> int:
    """Return the level that means white in a 16-bit picture, whatever a hot pixel or a marker is.

    A brighter level belongs to the picture where most of the brighter pixels are less than twice as bright.
    """
    highest = int(levels.max())
    _, robust = robust_range(sample_of(levels))
    for bits in FULL_SCALE_BITS:
        full = 2**bits - 1
        if highest <= full:
            return full
        if robust <= full:
            brighter = levels[levels > full]
            if 2 * np.count_nonzero(brighter <= 2 * full) <= brighter.size:
                return full
    raise ValueError(f"a level of {highest} has more than {FULL_SCALE_BITS[-1]} bits")


def _split(image: Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the colours or the grey, and the alpha, of a loaded picture of 8 bits."""
    if image.mode not in PLAIN_MODES:
        raise UnsupportedFormat("formats.pixel_mode", mode=image.mode)
    if image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("LA", "La") else "RGBA")
        alpha = np.asarray(image.getchannel("A"))
        return np.asarray(image.convert(image.mode[:-1])), alpha
    if image.mode == "1":
        image = image.convert("L")
    elif image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    return np.asarray(image), None


def _deep_grey(image: Image) -> np.ndarray:
    """Return grey of more than 8 bits as uint16."""
    levels = np.asarray(image)
    low, high = int(levels.min()), int(levels.max())
    if low < 0 or high >= 2 ** FULL_SCALE_BITS[-1]:
        raise UnsupportedFormat("formats.levels", low=low, high=high)
    return levels.astype(np.uint16)
