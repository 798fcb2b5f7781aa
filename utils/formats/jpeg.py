"""JPEG files: decoding by libjpeg-turbo, and refusal by its warnings of missing data."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import simplejpeg
from PIL import Image, JpegImagePlugin

from utils.errors import UnreadableImage
from utils.formats import raster
from utils.formats.jpeg_markers import FrameHeader, read_markers
from utils.imaging.radiograph import DETAIL, Limits, Radiograph

END_OF_IMAGE = b"\xff\xd9"
# simplejpeg's name of each of Pillow's modes.
_COLOURS = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
# Warnings of libjpeg about the coded data; its others are about header fields that change no pixel.
_DAMAGE = re.compile("corrupt JPEG data|premature end|inconsistent progression", re.IGNORECASE)
_MISSING_DATA = re.compile("premature end|instead of RST", re.IGNORECASE)


def read_jpeg(content: bytes, limits: Limits, allow_truncated: bool) -> Radiograph:
    """Decode a JPEG, a large one at a fraction of its size (see ``radiograph.DETAIL``).

    The transform of its blocks is then computed for fewer points, each a mean of those it stands for.

    Args:
        content, limits, allow_truncated: as in ``formats.decode``.

    Raises:
        TooLarge: the header declares too many pixels.
        UnsupportedFormat: arithmetic coding.
        UnreadableImage: the file is damaged, or ends early and that is not allowed.
    """
    with raster.codec_errors("JPEG"):
        image = JpegImagePlugin.JpegImageFile(io.BytesIO(content))
        limits.check_pixels(image.height, image.width)
        markers = read_markers(content)
        raster.check_single(content[markers.end :], "JPEG")
        size = (image.height, image.width)
        # What is missing of a picture in several scans may show in its finest detail alone.
        reduction = _reduction(size) if len(markers.scans) == 1 else 1
        truncated = not markers.complete
        samples: np.ndarray | None = None
        if not truncated:
            try:
                samples = _decode(content, image, reduction)
            except ValueError as error:
                truncated = names_missing_data(str(error))
                if not truncated and names_damage(str(error)):
                    raise UnreadableImage("formats.damaged", format="JPEG", reason=error) from error
        if truncated and not allow_truncated:
            raise UnreadableImage("formats.ends_early", format="JPEG")
        if samples is None:
            ended = content if markers.ended else content + END_OF_IMAGE
            samples = _decode_leniently(ended, reduction)
        orientation = raster.orientation(image)
        if orientation in raster.SIDEWAYS:
            size = size[::-1]
        if image.mode == "CMYK":
            samples = np.asarray(Image.fromarray(samples, image.mode).convert("RGB"))
        found = raster.from_samples(samples, None, "jpeg", orientation)
        return replace(found, truncated=truncated, size=size if reduction > 1 else None)


def check_whole(content: bytes, format: str) -> FrameHeader:
    """Return the frame header of an 8-bit JPEG inside another file, once all of its coded data is checked.

    Args:
        content: the JPEG.
        format: of the file around it, for the error.

    Raises:
        UnreadableImage: it is damaged, or data is missing.
    """
    markers = read_markers(content)
    colour = "CMYK" if len(markers.frame.components) == 4 else "GRAY"
    warning = decoder_warning(content, colour)
    if not markers.complete or names_missing_data(warning):
        raise UnreadableImage("formats.ends_early", format=format)
    if names_damage(warning):
        raise UnreadableImage("formats.damaged", format=format, reason=warning)
    return markers.frame


def decoder_warning(content: bytes, colour: str = "GRAY") -> str:
    """Return the first warning of libjpeg about an 8-bit JPEG, "" without one.

    It is decoded at an eighth of its size: all of the coded data is read, few pixels are computed.

    Args:
        content: the JPEG.
        colour: simplejpeg's name of what to decode to: "GRAY" of grey, YCbCr and RGB, or "CMYK".
    """
    try:
        simplejpeg.decode_jpeg(content, colour, min_height=1, min_width=1, strict=True)
    except ValueError as error:
        return str(error)
    return ""


def names_missing_data(warnings: str) -> bool:
    """Return whether libjpeg warns of missing data or restart markers."""
    return _MISSING_DATA.search(warnings) is not None


def names_damage(warnings: str) -> bool:
    """Return whether libjpeg warns of damage to the coded data, missing data included."""
    return _DAMAGE.search(warnings) is not None


def _reduction(size: tuple[int, int]) -> int:
    """Return by how much a JPEG of (height, width) can be reduced and still be DETAIL long."""
    return next(factor for factor in (8, 4, 2, 1) if factor == 1 or max(size) >= factor * DETAIL)


def _decode(content: bytes, image: JpegImagePlugin.JpegImageFile, reduction: int) -> np.ndarray:
    """Decode a JPEG by simplejpeg to what Pillow would give, to the bit.

    Sides are divided by ``reduction``: 1, 2, 4 or 8. Raises ValueError where libjpeg warns of
    anything, or simplejpeg does not take the sampling factors.
    """
    samples = simplejpeg.decode_jpeg(
        content,
        _COLOURS[image.mode],
        min_height=-(-image.height // reduction),
        min_width=-(-image.width // reduction),
        strict=True,
    )
    if image.mode == "L":
        return samples[..., 0]
    # Pillow takes CMYK as Adobe writes it, inverted.
    return 255 - samples if image.mode == "CMYK" else samples


def _decode_leniently(content: bytes, reduction: int) -> np.ndarray:
    """Decode a JPEG by Pillow, whatever libjpeg warns of; see :func:`_decode`."""
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(content))
    if reduction > 1:
        image.draft(image.mode, (image.width // reduction, image.height // reduction))
    return np.asarray(image)
