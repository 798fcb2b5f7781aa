"""What the upload page makes smaller before it is sent, and what never (static/shrink.js, intact.js)."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from tests.support.dicom_uploads import dicom
from tests.support.pictures import draw_radiograph
from tests.support.serving import shared_app
from utils.formats import decode
from utils.imaging.radiograph import DETAIL

pytestmark = pytest.mark.slow

SIDES = (3200, 1400)

# The bytes that would be sent, "" where they are the file's own.
SHRUNK = """async () => {
    const file = document.getElementById("file").files[0];
    const small = await shrunk(file);
    if (small === file) return "";
    let text = "";
    const bytes = new Uint8Array(await small.arrayBuffer());
    for (let at = 0; at < bytes.length; at += 8192)
        text += String.fromCharCode(...bytes.subarray(at, at + 8192));
    return btoa(text);
}"""


@cache
def large() -> np.ndarray:
    """A drawn radiograph of many pixels, uint8, with noise as a detector has."""
    picture = cv2.resize(draw_radiograph(320, 240, fractured=True), SIDES[::-1])
    noise = np.random.default_rng(0).normal(0, 0.02, picture.shape)
    return np.rint(np.clip(picture + noise, 0, 1) * 255).astype(np.uint8)


def saved(picture: np.ndarray | Image.Image, format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(stream, format, **options)
    return stream.getvalue()


def turned_by_exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # Shown turned by 90 degrees to the right.
    return saved(np.rot90(large()), "JPEG", quality=95, exif=exif)


def sent(page, site: str, content: bytes) -> bytes | None:
    """Return what the page would send of a file, None where it is the file as it is."""
    page.goto(site)
    page.set_input_files(
        "#file", {"name": "x", "mimeType": "application/octet-stream", "buffer": content}
    )
    return base64.b64decode(page.evaluate(SHRUNK)) or None


SHRINKABLE: dict[str, Callable[[], bytes]] = {
    "png": lambda: saved(large(), "PNG"),
    "colour png": lambda: saved(Image.fromarray(large()).convert("RGB"), "PNG"),
    "jpeg": lambda: saved(large(), "JPEG", quality=95),
    "colour jpeg": lambda: saved(Image.fromarray(large()).convert("RGB"), "JPEG", quality=95),
    "exif": turned_by_exif,
}


@pytest.mark.parametrize("kind", SHRINKABLE)
def test_a_large_picture_gets_the_same_answer(page, site, kind):
    content = SHRINKABLE[kind]()
    small = sent(page, site, content)
    assert small is not None
    assert len(small) < len(content) / 2
    assert Image.open(io.BytesIO(small)).size == (2048 * SIDES[1] // SIDES[0], 2048)
    whole, shrunk = (decode(one).pixels for one in (content, small))
    assert max(shrunk.shape) >= DETAIL
    whole = cv2.resize(whole, shrunk.shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(whole - shrunk).mean() < 0.01, "upright, with the same grey levels"
    predictor = shared_app().extensions["predictor_service"].predictor()
    expected, answered = (predictor.predict(one) for one in (content, small))
    assert answered.prediction == expected.prediction
    assert answered.probability == pytest.approx(expected.probability, abs=0.02)


def behind_a_preamble(jpeg: bytes) -> bytes:
    """A whole JPEG whose first comment has DICOM's magic number at its place."""
    comment = bytes(122) + b"DICM"
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def with_alpha() -> bytes:
    image = Image.fromarray(large()).convert("RGBA")
    image.putalpha(128)
    return saved(image, "PNG")


def damaged_jpeg() -> bytes:
    content = bytearray(saved(large(), "JPEG", quality=95, restart_marker_rows=4))
    content[len(content) // 2 : len(content) // 2 + 200_000] = bytes(200_000)
    return bytes(content)


def damaged_png() -> bytes:
    content = bytearray(saved(large(), "PNG"))
    content[len(content) // 2] ^= 1
    return bytes(content)


def png_of_half_the_height() -> bytes:
    content = bytearray(saved(large(), "PNG"))
    content[20:24] = (SIDES[0] // 2).to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


AS_IT_IS: dict[str, Callable[[], bytes]] = {
    "dicom": lambda: dicom() + bytes(2**21),
    "dicom in a jpeg": lambda: behind_a_preamble(saved(large(), "JPEG", quality=95)),
    "tiff": lambda: saved(large(), "TIFF"),
    "bmp": lambda: saved(large(), "BMP"),
    "16 bits": lambda: saved(large().astype(np.uint16) << 8, "PNG"),
    "alpha": with_alpha,
    "palette": lambda: saved(Image.fromarray(large()).quantize(16), "PNG"),
    "progressive": lambda: saved(large(), "JPEG", quality=95, progressive=True),
    "grey profile": lambda: saved(large(), "JPEG", quality=95, icc_profile=bytes(500)),
    "damaged jpeg": damaged_jpeg,
    "damaged png": damaged_png,
    "half the png": png_of_half_the_height,
    "few bytes": lambda: saved(np.full(SIDES, 90, np.uint8), "PNG"),
    "few pixels": lambda: saved(large()[:1500], "PNG"),
}


@pytest.mark.parametrize("kind", AS_IT_IS)
def test_another_file_is_sent_as_it_is(page, site, kind):
    assert sent(page, site, AS_IT_IS[kind]()) is None


def damaged_jpegs() -> list[bytes]:
    """Small baseline JPEGs of several kinds with their coded data changed, cut or lengthened."""
    rng = np.random.default_rng(7)
    image = Image.fromarray(np.rint(draw_radiograph(160, 120) * 255).astype(np.uint8))
    files = []
    for mode, options in (
        ("L", {"quality": 90}),
        ("L", {"quality": 80, "restart_marker_blocks": 5}),
        ("RGB", {"quality": 75, "subsampling": 2}),
        ("RGB", {"quality": 75, "subsampling": 0, "restart_marker_rows": 1}),
    ):
        whole = saved(image.convert(mode), "JPEG", **options)
        first = whole.index(b"\xff\xda") + 14
        files.append(whole)
        for _ in range(40):
            start, end = np.sort(rng.integers(first, len(whole) - 2, 2))
            flipped = bytes([whole[start] ^ 1 << int(rng.integers(8))])
            files += [
                whole[:start] + flipped + whole[start + 1 :],
                whole[:start] + bytes(end - start) + whole[end:],
                whole[:start] + whole[end:],
                whole[:start] + b"\xff\xd9",
                whole[:start] + rng.bytes(9) + whole[start:],
            ]
    return files


def test_no_damaged_jpeg_is_held_for_whole(page, site):
    files = damaged_jpegs()
    page.goto(site)
    whole = page.evaluate(
        """(files) => files.map((text) =>
            intactJpeg(Uint8Array.from(atob(text), (one) => one.charCodeAt(0))) !== null)""",
        [base64.b64encode(content).decode() for content in files],
    )

    def refused(content: bytes) -> bool:
        try:
            simplejpeg.decode_jpeg(content, strict=True)
        except ValueError:
            return True
        return False

    refusals = [refused(content) for content in files]
    assert not any(held and refuse for held, refuse in zip(whole, refusals, strict=True))
    assert sum(refusals) > len(files) / 2
    accepted = refusals.count(False)
    assert sum(whole) > 0.9 * accepted > 0, "and nearly all that libjpeg takes are"
