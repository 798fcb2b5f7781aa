"""TIFF files of one picture, and refusal of those whose data contradicts their header.

libtiff reports neither data that is left over nor, of JPEG, data that is missing: so the blocks (strips or
tiles) are counted, and what each unpacks to is compared with the rows that it should hold.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import TiffImagePlugin
from PIL.ExifTags import Base as Tag

from utils.errors import NotARadiograph, UnreadableImage, UnsupportedFormat
from utils.formats import channels, inflate, jpeg, raster
from utils.imaging.geometry import resize
from utils.imaging.radiograph import Limits, Radiograph

MAX_PAGES = 16
# Largest share of a side of the picture that its thumbnail has, and how far their aspects may differ.
_THUMBNAIL, _ASPECT = 0.5, 0.05
# Side to which pages are shrunk to compare them, and least correlation of a picture with its thumbnail.
_COMPARED, _SAME_PICTURE = 24, 0.9
# Bits of NewSubfileType, and value of the older SubfileType.
_REDUCED, _MASK, _OLD_REDUCED = 1, 4, 2
_ASSOCIATED_ALPHA = 1
_RGB, _YCBCR = 2, 6
_JPEG, _OLD_JPEG = 7, 6

_Count = Callable[[bytes, int], int]


def _count_deflated(packed: bytes, enough: int) -> int:
    return inflate.count_unpacked(packed, zlib.MAX_WBITS, enough)[0]


# How to count what a block unpacks to, by Compression. In fax codes, Zstandard and others damage need not
# show, so that they are not read.
_COUNTS: dict[int, _Count] = {
    1: lambda packed, enough: len(packed),
    5: inflate.count_lzw,
    8: _count_deflated,
    32946: _count_deflated,
    32773: inflate.count_packbits,
    34925: inflate.count_lzma,
}


@dataclass(frozen=True)
class Page:
    """One image file directory: its number, size, and whether it is marked as a thumbnail or a mask."""

    number: int
    width: int
    height: int
    auxiliary: bool

    def is_thumbnail_of(self, other: Page) -> bool:
        """Return whether this page is marked as one, or has the other's shape at half its size or less."""
        across, down = self.width / other.width, self.height / other.height
        if self.auxiliary:
            return across * down <= 1
        return max(across, down) <= _THUMBNAIL and abs(across / down - 1) <= _ASPECT


@dataclass(frozen=True)
class Layout:
    """How a page's pixels are cut into blocks (strips, or tiles).

    Args:
        width, height: of the page, in pixels.
        block_width, block_height: of a block.
        planes: 1, or one for each sample where they are stored apart.
        bits: of a pixel in one plane.
    """

    width: int
    height: int
    block_width: int
    block_height: int
    planes: int
    bits: int
    tiled: bool

    @property
    def down(self) -> int:
        """Blocks from top to bottom."""
        return -(-self.height // self.block_height)

    @property
    def blocks(self) -> int:
        """Blocks of all planes."""
        return self.planes * self.down * -(-self.width // self.block_width)

    @property
    def row_bytes(self) -> int:
        """Length of one row of a block."""
        return (self.block_width * self.bits + 7) // 8

    def rows(self, number: int) -> int:
        """Return how many rows a block must hold: the last strip may hold fewer than the others."""
        if self.tiled:
            return self.block_height
        return min(self.block_height, self.height - number % self.down * self.block_height)


def read_tiff(content: bytes, limits: Limits, allow_truncated: bool) -> Radiograph:
    """Decode a TIFF; one that ends early is always refused. See ``formats.decode``."""
    with raster.codec_errors("TIFF"):
        image = _open(content)
        page = _main_page(image, limits)
        limits.check_pixels(page.height, page.width)
        image.seek(page.number)
        tags = image.tag_v2
        if Tag.PhotometricInterpretation not in tags:
            raise UnreadableImage("formats.tiff_photometric")
        _check_blocks(content, tags)
        associated = _ASSOCIATED_ALPHA in _several(tags, Tag.ExtraSamples)
        if _bits(tags)[0] == 16 and tags[Tag.PhotometricInterpretation] == _RGB:
            return _read_deep_colour(content, page, associated)
        if associated and image.mode in ("RGBA", "La"):
            return _read_premultiplied(image)
        return raster.radiograph(image, "tiff")


def _open(content: bytes) -> TiffImagePlugin.TiffImageFile:
    """Open the first page; raise UnsupportedFormat where Pillow knows no such samples."""
    try:
        return TiffImagePlugin.TiffImageFile(io.BytesIO(content))
    except SyntaxError as error:
        if str(error) != "unknown pixel mode":
            raise
        raise UnsupportedFormat("formats.tiff_samples") from error


def _main_page(image: TiffImagePlugin.TiffImageFile, limits: Limits) -> Page:
    """Return the only page that is no thumbnail of another, and no mask."""
    pages: list[Page] = []
    try:
        while len(pages) < MAX_PAGES:
            image.seek(len(pages))
            tags = image.tag_v2
            kind = int(tags.get(Tag.NewSubfileType, 0))
            auxiliary = bool(kind & (_REDUCED | _MASK)) or tags.get(Tag.SubfileType) == _OLD_REDUCED
            pages.append(Page(len(pages), tags[Tag.ImageWidth], tags[Tag.ImageLength], auxiliary))
    except EOFError:
        pass
    main = [page for page in pages if not page.auxiliary] or pages
    largest = max(main, key=lambda page: page.width * page.height)
    others = [page for page in pages if page is not largest]
    if len(pages) == MAX_PAGES or not all(page.is_thumbnail_of(largest) for page in others):
        raise NotARadiograph("formats.several_pages")
    unmarked = [page for page in others if not page.auxiliary]
    if unmarked:
        limits.check_pixels(largest.height, largest.width)
        whole = _small(image, largest)
        for page in unmarked:
            if np.corrcoef(whole, _small(image, page))[0, 1] < _SAME_PICTURE:
                raise NotARadiograph("formats.several_pages")
    return largest


def _small(image: TiffImagePlugin.TiffImageFile, page: Page) -> np.ndarray:
    """Return a page's levels shrunk to a few hundred, flat, float32."""
    image.seek(page.number)
    levels = np.asarray(image, np.float32)
    levels = levels if levels.ndim == 2 else levels[..., :3].mean(axis=2)
    # A little noise of none: of a constant page no correlation is defined.
    return resize(levels, _COMPARED, _COMPARED).ravel() + np.linspace(0, 1e-3, _COMPARED**2)


def _read_deep_colour(content: bytes, page: Page, associated: bool) -> Radiograph:
    """Decode colour of 16 bits by OpenCV, which turns it upright; Pillow keeps the upper 8 bits only."""
    if page.number:
        raise NotARadiograph("formats.several_pages")
    samples = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None or samples.dtype != np.uint16:
        raise UnreadableImage("formats.tiff_pixels")
    if associated:
        samples[..., :3] = channels.straight(samples[..., :3], samples[..., 3])
    return raster.from_bgr(samples, "tiff")


def _read_premultiplied(image: TiffImagePlugin.TiffImageFile) -> Radiograph:
    """Decode 8-bit colours that are, or pretend to be, multiplied by their alpha."""
    # Pillow would divide even those that are not.
    image.tile = [
        tile._replace(args=(str(tile.args[0]).replace("RGBa", "RGBA"), *tile.args[1:]))
        for tile in image.tile
        if isinstance(tile.args, tuple)
    ]
    image.load()
    samples = np.asarray(image)
    colour = samples[..., 0] if image.mode == "La" else samples[..., :3]
    alpha = samples[..., -1]
    return raster.from_samples(channels.straight(colour, alpha), alpha, "tiff")


def _check_blocks(content: bytes, tags: TiffImagePlugin.ImageFileDirectory_v2) -> None:
    """Raise UnreadableImage unless the blocks hold the rows that the header declares, and no more.

    Raises:
        UnsupportedFormat: a compression in which damage need not show.
    """
    compression = tags.get(Tag.Compression, 1)
    if compression == _OLD_JPEG:
        _check_old_jpeg(content, tags)
        return
    layout = _layout(tags)
    blocks = list(_blocks(content, tags, layout))
    if compression == _JPEG:
        tables = tags.get(Tag.JPEGTables, b"")
        for number, block in enumerate(blocks):
            # Both are whole streams: the tables go between the start of the block's and its frame.
            stream = tables[:-2] + block[2:] if tables else block
            _check_jpeg(stream, layout.block_width, layout.rows(number), layout)
        return
    if compression not in _COUNTS:
        raise UnsupportedFormat("formats.tiff_compression", compression=compression)
    if tags[Tag.PhotometricInterpretation] == _YCBCR:
        return  # its colours may be subsampled
    for number, block in enumerate(blocks):
        needed = layout.rows(number) * layout.row_bytes
        full = layout.block_height * layout.row_bytes
        length = _COUNTS[compression](block, full + layout.row_bytes)
        if length < needed:
            raise UnreadableImage("formats.ends_early", format="TIFF")
        # The last of several strips may be padded to the height of the others.
        padded = layout.down > 1 and full <= length < full + layout.row_bytes
        if length >= needed + layout.row_bytes and not padded:
            raise _more_rows(layout)


def _blocks(
    content: bytes, tags: TiffImagePlugin.ImageFileDirectory_v2, layout: Layout
) -> Iterator[bytes]:
    """Yield the bytes of each strip or tile, as many as there must be."""
    if layout.tiled:
        offsets = _several(tags, Tag.TileOffsets)
        lengths = _several(tags, Tag.TileByteCounts)
    else:
        offsets = _several(tags, Tag.StripOffsets)
        lengths = _several(tags, Tag.StripByteCounts)
    if not len(offsets) == len(lengths) == layout.blocks:
        raise UnreadableImage("formats.tiff_blocks", found=len(offsets), needed=layout.blocks)
    for offset, length in zip(offsets, lengths, strict=True):
        if offset + length > len(content):
            raise UnreadableImage("formats.ends_early", format="TIFF")
        yield content[offset : offset + length]


def _check_jpeg(stream: bytes, width: int, rows: int, layout: Layout) -> None:
    """Raise UnreadableImage unless a JPEG stream is whole and has the size of its block."""
    frame = jpeg.check_whole(stream, "TIFF")
    if frame.columns < width or frame.rows < rows:
        raise UnreadableImage("formats.ends_early", format="TIFF")
    if frame.columns > width or (frame.rows > rows and layout.down == 1):
        raise _more_rows(layout)


def _check_old_jpeg(content: bytes, tags: TiffImagePlugin.ImageFileDirectory_v2) -> None:
    """Check the whole JPEG of the old way of JPEG in TIFF; without one, such files are not read."""
    start, length = tags.get(Tag.JpegIFOffset), tags.get(Tag.JpegIFByteCount)
    if not start or not length:
        raise UnsupportedFormat("formats.tiff_compression", compression=_OLD_JPEG)
    layout = _layout(tags)
    _check_jpeg(content[start : start + length], layout.width, layout.height, layout)


def _layout(tags: TiffImagePlugin.ImageFileDirectory_v2) -> Layout:
    width, height = tags[Tag.ImageWidth], tags[Tag.ImageLength]
    samples = tags.get(Tag.SamplesPerPixel, 1)
    planes = samples if tags.get(Tag.PlanarConfiguration, 1) == 2 else 1
    bits = _bits(tags)[0] * samples // planes
    if Tag.TileOffsets in tags:
        tile = tags[Tag.TileWidth], tags[Tag.TileLength]
        return Layout(width, height, *tile, planes, bits, tiled=True)
    rows = min(height, tags.get(Tag.RowsPerStrip, height))
    return Layout(width, height, width, rows, planes, bits, tiled=False)


def _bits(tags: TiffImagePlugin.ImageFileDirectory_v2) -> tuple[int, ...]:
    return _several(tags, Tag.BitsPerSample) or (1,)


def _several(tags: TiffImagePlugin.ImageFileDirectory_v2, tag: int) -> tuple[int, ...]:
    """Return a tag's values, which Pillow gives bare where there is one of some tags."""
    values = tags.get(tag, ())
    return values if isinstance(values, tuple) else (values,)


def _more_rows(layout: Layout) -> UnreadableImage:
    return UnreadableImage(
        "formats.more_rows", format="TIFF", width=layout.width, height=layout.height
    )
