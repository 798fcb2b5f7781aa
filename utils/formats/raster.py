"""Turns the bytes of a PNG, JPEG, BMP, TIFF or WebP file into brightness, float32 in [0, 1].

Colour becomes luminance by Rec. 601 (0.299 red, 0.587 green, 0.114 blue); what is transparent lies
on black. A sample of 8 bits is ``level / 255`` exactly. A sample of 16 bits is divided by the full
scale of the smallest of 8, 10, 12, 14 and 16 bits that holds the picture's highest level, because
scanners and exports store 12 bits in 16 without saying so.

Pillow's switch for truncated files and its size limit belong to the whole process, and threads
serve requests; so its plug-ins are opened directly, sizes are checked here against the header, and
a file that ends early is found out and mended by ``utils.formats.png`` and ``jpeg_scans``.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from utils.errors import FractureError, NotARadiograph, UnreadableImage, UnsupportedFormat
from utils.formats import png as mending
from utils.formats.jpeg import END_OF_IMAGE, read_jpeg_scans
from utils.imaging.radiograph import DETAIL, Limits, Picture

if TYPE_CHECKING:
    from PIL.Image import Image

FULL_SCALE_BITS = (8, 10, 12, 14, 16)
ORIENTATION_TAG = 0x0112
# Orientations in which rows become columns.
SIDEWAYS = (5, 6, 7, 8)
DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")
PLAIN_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")


@contextmanager
def _border(title: str) -> Iterator[None]:
    """Turn whatever a codec raises over a damaged file into UnreadableImage."""
    try:
        yield
    except (FractureError, MemoryError):
        raise
    # Codecs raise anything at all over damaged bytes (SyntaxError, struct.error, KeyError, ...),
    # and each of them means the same to the caller.
    except Exception as error:
        raise UnreadableImage(f"the {title} file is damaged: {error}") from error


def read_png(content: bytes, limits: Limits, allow_truncated: bool) -> Picture:
    """Decode a PNG of any bit depth and colour type.

    Args:
        content: the file.
        limits: checked before a pixel is decoded.
        allow_truncated: decode a file that ends early, black where nothing is left.

    Returns:
        float32 (height, width) in [0, 1], and whether the file ended early.

    Raises:
        TooLarge: the header declares too many pixels.
        NotARadiograph: the picture is animated.
        UnreadableImage: the file is damaged, or ends early and that is not allowed.
    """
    with _border("PNG"):
        header = mending.read_png_header(content)
        limits.check_pixels(header.height, header.width)
        chunks = mending.read_png_chunks(content)
        if chunks.animated:
            raise NotARadiograph("this is an animated PNG; a single picture is needed")
        deep_colour = header.bit_depth == 16 and header.colour_type != mending.GREY
        image = None
        if not chunks.truncated:
            image = PngImagePlugin.PngImageFile(io.BytesIO(chunks.assemble()))
            # Of deep colour Pillow keeps the upper 8 bits only, so it is not loaded here.
            whole = mending.holds_all_pixels if deep_colour else partial(_loads_whole, image)
            if not whole(header, chunks):
                image = None
        truncated = image is None
        if truncated and not allow_truncated:
            raise UnreadableImage(_ends_early("PNG"))
        plain = mending.mend_png(header, chunks) if truncated else chunks.assemble()
        if image is None:
            image = PngImagePlugin.PngImageFile(io.BytesIO(plain))
        if not deep_colour:
            return Picture(_brightness(image), truncated)
        samples = cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_UNCHANGED)
        if samples is None:
            raise UnreadableImage("the PNG file is damaged: its pixels cannot be unpacked")
        return Picture(_upright(_deep_colour(samples), _orientation(image)), truncated)


def read_jpeg(content: bytes, limits: Limits, allow_truncated: bool) -> Picture:
    """Decode a JPEG, a large one at a fraction of its size (see ``radiograph.DETAIL``).

    The transform of its blocks is then computed for fewer points, each a mean of those it stands for. See
    :func:`read_png` for arguments, outcome and faults.
    """
    with _border("JPEG"):
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(content))
        limits.check_pixels(image.height, image.width)
        scans = read_jpeg_scans(content)
        scans.check()
        truncated = scans.lacks_data(content)
        if truncated and not allow_truncated:
            raise UnreadableImage(_ends_early("JPEG"))
        if scans.end is None:
            image = JpegImagePlugin.JpegImageFile(io.BytesIO(content + END_OF_IMAGE))
        size = (image.height, image.width)
        # What is missing of a picture in several scans may show in its finest detail alone.
        reduction = _reduction(size) if len(scans.scans) == 1 else 1
        _reduce(image, reduction)
        image.load()
        if not truncated and scans.may_be_filled(_last_luminance(image)):
            padded = JpegImagePlugin.JpegImageFile(io.BytesIO(scans.padded(content)))
            _reduce(padded, reduction)
            truncated = padded.tobytes() != image.tobytes()
            if truncated and not allow_truncated:
                raise UnreadableImage(_ends_early("JPEG"))
        if _orientation(image) in SIDEWAYS:
            size = size[::-1]
        return Picture(_brightness(image), truncated, size if reduction > 1 else None)


def read_bmp(content: bytes, limits: Limits, allow_truncated: bool) -> Picture:
    """Decode a BMP; one that ends early is always refused. See :func:`read_png`."""
    with _border("BMP"):
        image = BmpImagePlugin.BmpImageFile(io.BytesIO(content))
        limits.check_pixels(image.height, image.width)
        return Picture(_brightness(image))


def read_tiff(content: bytes, limits: Limits, allow_truncated: bool) -> Picture:
    """Decode a TIFF of one page; one that ends early is always refused. See :func:`read_png`."""
    with _border("TIFF"):
        image = TiffImagePlugin.TiffImageFile(io.BytesIO(content))
        limits.check_pixels(image.height, image.width)
        if _has_second_page(content):
            raise NotARadiograph("this is a TIFF of several pages; a single picture is needed")
        return Picture(_brightness(image))


def read_webp(content: bytes, limits: Limits, allow_truncated: bool) -> Picture:
    """Decode a WebP still; one that ends early is always refused. See :func:`read_png`."""
    with _border("WebP"):
        # Its plug-in sets memory aside for the whole picture as soon as it is opened.
        limits.check_pixels(*mending.read_webp_size(content))
        image = WebPImagePlugin.WebPImageFile(io.BytesIO(content))
        if image.n_frames > 1:
            raise NotARadiograph("this is an animated WebP; a single picture is needed")
        return Picture(_brightness(image))


def is_animated_gif(content: bytes) -> bool:
    """Say whether a GIF holds more than one picture; GIF is not decoded here."""
    with _border("GIF"):
        return bool(GifImagePlugin.GifImageFile(io.BytesIO(content)).is_animated)


def full_scale(highest: int) -> int:
    """Return the level that means white in a 16-bit picture whose highest level is given."""
    return next(2**bits - 1 for bits in FULL_SCALE_BITS if highest < 2**bits)


def _ends_early(title: str) -> str:
    return f"the {title} file ends early: part of the picture is missing; send the complete file"


def _has_second_page(content: bytes) -> bool:
    image = TiffImagePlugin.TiffImageFile(io.BytesIO(content))
    try:
        image.seek(1)
    except EOFError:
        return False
    return True


def _loads_whole(image: Image, header: mending.PngHeader, chunks: mending.PngChunks) -> bool:
    """Load a PNG and say whether it has all its pixels."""
    try:
        image.load()
    except OSError:
        # Damaged where all of it is there, else cut short.
        if mending.holds_all_pixels(header, chunks):
            raise
        return False
    # Missing rows are zero, so that mostly one look at the last one saves the counting.
    if not header.interlaced:
        last_row = image.crop((0, image.height - 1, image.width, image.height))
        if any(last_row.tobytes()):
            return True
    return mending.holds_all_pixels(header, chunks)


def _reduction(size: tuple[int, int]) -> int:
    """Return by how much a JPEG of (height, width) can be reduced and still be DETAIL long."""
    return next(factor for factor in (8, 4, 2, 1) if factor == 1 or max(size) >= factor * DETAIL)


def _reduce(image: JpegImagePlugin.JpegImageFile, factor: int) -> None:
    """Have a JPEG decoded at one ``factor``-th of its size."""
    if factor > 1:
        image.draft(image.mode, (image.width // factor, image.height // factor))


def _last_luminance(image: Image) -> int:
    right, bottom = image.size
    return image.crop((right - 1, bottom - 1, right, bottom)).convert("L").tobytes()[0]


def _brightness(image: Image) -> np.ndarray:
    """Load an opened picture and return it upright, float32 (height, width) in [0, 1]."""
    image.load()
    if image.mode in DEEP_MODES:
        return _upright(_deep_grey(image), _orientation(image))
    if image.mode not in PLAIN_MODES:
        raise UnsupportedFormat(
            f"its pixels are stored as {image.mode!r}, which is not read; save it as grey PNG"
        )
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA") if image.mode != "LA" else image
        alpha = np.asarray(image.getchannel("A"))
    elif image.mode not in ("1", "L", "RGB"):
        image = image.convert("RGB")
    pixels = np.asarray(image.convert("L")).astype(np.float32)
    pixels /= np.float32(255)
    if alpha is not None and alpha.min() < 255:
        pixels *= alpha.astype(np.float32) / np.float32(255)
    return _upright(pixels, _orientation(image))


def _deep_grey(image: Image) -> np.ndarray:
    """Return 16-bit grey as float32 in [0, 1], by the rule in the module's docstring."""
    levels = np.asarray(image)
    low, high = int(levels.min()), int(levels.max())
    if low < 0 or high >= 2 ** FULL_SCALE_BITS[-1]:
        raise UnsupportedFormat(
            f"its levels run from {low} to {high}; levels of at most 16 bits without sign are read"
        )
    top = full_scale(high)
    pixels = levels.astype(np.float32)
    pixels /= np.float32(top)
    tags = getattr(image, "tag_v2", {})
    if tags.get(262) == 0:  # TIFF's WhiteIsZero, which Pillow turns for 8 bits only
        np.subtract(np.float32(1), pixels, out=pixels)
    return pixels


def _deep_colour(samples: np.ndarray) -> np.ndarray:
    """Return 16-bit blue, green, red (and alpha) as luminance, float32 in [0, 1]."""
    if samples.ndim == 2:
        samples = samples[..., None]
    colour = samples[..., :3] if samples.shape[2] >= 3 else samples[..., :1]
    top = full_scale(int(colour.max()))
    if colour.shape[2] == 3:
        # Whole numbers that sum to 2**16, so that grey stays exactly itself.
        luminance = colour[..., 2] * np.uint32(19595)
        luminance += colour[..., 1] * np.uint32(38470)
        luminance += colour[..., 0] * np.uint32(7471)
        luminance += np.uint32(1 << 15)
        luminance >>= np.uint32(16)
    else:
        luminance = colour[..., 0]
    pixels = luminance.astype(np.float32)
    pixels /= np.float32(top)
    if samples.shape[2] in (2, 4):
        pixels *= samples[..., -1].astype(np.float32) / np.float32(65535)
    return pixels


def _orientation(image: Image) -> int:
    """Return the EXIF orientation, 1 where there is none or the block cannot be read."""
    try:
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
    # A broken EXIF block is common and says nothing about the pixels: viewers show such files as
    # they are stored.
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error):
        return 1
    return orientation if isinstance(orientation, int) else 1


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
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
