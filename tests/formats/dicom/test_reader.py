"""DICOM: every transfer syntax, the way to brightness, and what is refused."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from tests.support.dicoms import (
    LOSSLESS,
    LOSSY,
    NATIVE,
    SECONDARY_CAPTURE,
    build,
    draw_dicom,
    draw_stored,
    frame_of,
    write,
)
from utils.errors import (
    FractureError,
    NotARadiograph,
    SetupError,
    TooLarge,
    UnreadableImage,
    UnsupportedFormat,
)
from utils.formats import Limits, decode
from utils.formats.dicom import gdcm_codec, gdcm_process
from utils.formats.dicom import pixels as pixel_data

BITS = (8, 10, 12, 16)


def stretched(stored: np.ndarray) -> np.ndarray:
    """The rule where no window is given, by hand: lowest value black, highest white."""
    values = stored.astype(np.float64)
    return (values - values.min()) / (values.max() - values.min())


def table_item(first: int, entries: np.ndarray, bits: int, *, signed: bool = False) -> Sequence:
    item = Dataset()
    item.add_new(0x00283002, "SS" if signed else "US", [len(entries), first, bits])
    item.add_new(0x00283006, "OW", entries.astype("<u2").tobytes())
    return Sequence([item])


def without_meta(content: bytes) -> bytes:
    """Strip the preamble and the file meta information."""
    length = struct.unpack_from("<L", content, 140)[0]
    return content[144 + length :]


# --- transfer syntaxes and pixel layouts


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("syntax", [*NATIVE, *LOSSLESS])
def test_a_lossless_syntax_gives_the_stored_values_back(syntax, bits, signed):
    stored = draw_stored(bits, signed=signed)
    radiograph = decode(draw_dicom(stored, syntax=syntax, bits=bits))
    assert (radiograph.format, radiograph.truncated) == ("dicom", False)
    assert radiograph.pixels.dtype == np.float32
    assert radiograph.pixels.flags.c_contiguous
    np.testing.assert_allclose(radiograph.pixels, stretched(stored), atol=1e-7)


@pytest.mark.parametrize(
    ("syntax", "bits"),
    [("jpeg_baseline", 8), ("jpeg_extended", 12), ("jpeg_extended", 10)]
    + [(syntax, bits) for syntax in ("jpeg_ls_near", "jpeg_2000_lossy") for bits in (8, 12)],
)
def test_a_lossy_syntax_comes_within_a_few_levels(syntax, bits):
    stored = draw_stored(bits)
    pixels = decode(draw_dicom(stored, syntax=syntax, bits=bits)).pixels
    difference = np.abs(pixels - stretched(stored))
    assert difference.max() < 0.04
    assert difference.mean() < 0.01


def test_white_that_a_lossy_jpeg_overshoots_stays_white():
    """gdcm would cut 1024 to 10 bits, which is 0: a black speck in the brightest bone."""
    rng = np.random.default_rng(0)
    stored = rng.choice(np.array([623, 1023], np.uint16), (64, 64))
    stored[:, :8] = 0
    content = draw_dicom(
        stored, syntax="jpeg_extended", bits=10, WindowCenter=512, WindowWidth=1024
    )
    assert decode(content).pixels[:, 8:].min() > 0.55


@pytest.mark.parametrize("syntax", ["implicit", "explicit", "big_endian"])
def test_files_without_preamble_or_meta_information_are_recognised(syntax):
    content = draw_dicom(syntax=syntax)
    expected = decode(content).pixels
    np.testing.assert_array_equal(decode(without_meta(content)).pixels, expected)
    np.testing.assert_array_equal(decode(content[128:]).pixels, expected)
    np.testing.assert_array_equal(decode(content[132:]).pixels, expected)


def test_overlay_bits_beside_the_stored_ones_are_cut_off():
    stored = draw_stored(12)
    words = (stored << 2) | np.uint16(0x4001)
    content = draw_dicom(words, bits=12, HighBit=13)
    np.testing.assert_allclose(decode(content).pixels, stretched(stored), atol=1e-7)


def test_a_frame_in_several_fragments_is_joined():
    dataset = dcmread(io.BytesIO(draw_dicom(syntax="rle")))
    frame = frame_of(dataset)
    dataset.PixelData = encapsulate([frame], fragments_per_frame=5)
    assert dataset.PixelData.count(b"\xfe\xff\x00\xe0") >= 5
    stream = io.BytesIO()
    dataset.save_as(stream)
    np.testing.assert_array_equal(
        decode(stream.getvalue()).pixels, decode(draw_dicom(syntax="rle")).pixels
    )


@pytest.mark.parametrize(
    ("syntax", "photometric"), [("explicit", "RGB"), ("rle", "RGB"), ("explicit", "YBR_FULL")]
)
def test_a_colour_secondary_capture_becomes_luminance(syntax, photometric):
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 256, (32, 24, 3), dtype=np.uint8)
    content = draw_dicom(
        colour, bits=8, syntax=syntax, photometric=photometric, SOPClassUID=SECONDARY_CAPTURE
    )
    weights = [1, 0, 0] if photometric == "YBR_FULL" else [0.299, 0.587, 0.114]
    assert np.abs(decode(content).pixels - colour @ np.array(weights) / 255).max() < 0.6 / 255


@pytest.mark.parametrize("photometric", ["RGB", "YBR_RCT"])
def test_a_colour_frame_that_its_codec_turns_into_rgb_is_weighed_as_rgb(photometric):
    rng = np.random.default_rng(1)
    colour = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = draw_dicom(
        colour, bits=8, syntax="jpeg_2000", photometric=photometric, SOPClassUID=SECONDARY_CAPTURE
    )
    expected = colour @ np.array([0.299, 0.587, 0.114]) / 255
    assert np.abs(decode(content).pixels - expected).max() < 0.6 / 255


def test_a_colour_jpeg_frame_becomes_its_luminance():
    grey = draw_stored(8, height=48, width=40).astype(np.uint8)
    content = draw_dicom(
        np.repeat(grey[..., None], 3, axis=2),
        bits=8,
        syntax="jpeg_baseline",
        photometric="YBR_FULL_422",
        SOPClassUID=SECONDARY_CAPTURE,
    )
    assert np.abs(decode(content).pixels - grey / 255).max() < 0.05


# --- the way to brightness


def test_without_a_window_the_lowest_value_is_black_and_the_highest_white():
    pixels = decode(draw_dicom(draw_stored(12) // 4 + 100)).pixels
    assert (pixels.min(), pixels.max()) == (0, 1)


@pytest.mark.parametrize("shape", [None, "INVERSE", "IDENTITY"])
def test_monochrome1_is_inverted_once_whatever_presentation_lut_shape_says(shape):
    stored = draw_stored(12)
    options = {} if shape is None else {"PresentationLUTShape": shape}
    content = draw_dicom(4095 - stored, photometric="MONOCHROME1", **options)
    np.testing.assert_allclose(decode(content).pixels, stretched(stored), atol=1e-7)


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_rescale_and_window_agree_with_pydicom(signed, function):
    options: dict[str, object] = {"RescaleSlope": 1.5, "RescaleIntercept": -20.25}
    options |= {"WindowCenter": 1000.5, "WindowWidth": 3000}
    if function:
        options["VOILUTFunction"] = function
    content = draw_dicom(draw_stored(12, signed=signed), **options)
    dataset = dcmread(io.BytesIO(content))
    values = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    low, high = (-2048, 2047) if signed else (0, 4095)
    low, high = low * 1.5 - 20.25, high * 1.5 - 20.25
    expected = (values - low) / (high - low)
    np.testing.assert_allclose(decode(content).pixels, expected, atol=1e-6)


def test_the_first_of_several_windows_is_taken():
    stored = draw_stored(12)
    several = draw_dicom(stored, WindowCenter=[600, 2000], WindowWidth=[900, 4000])
    first = draw_dicom(stored, WindowCenter=600, WindowWidth=900)
    np.testing.assert_array_equal(decode(several).pixels, decode(first).pixels)


def test_a_negative_slope_turns_brightness():
    stored = draw_stored(12)
    content = draw_dicom(stored, RescaleSlope=-1, RescaleIntercept=4095)
    np.testing.assert_allclose(decode(content).pixels, 1 - stretched(stored), atol=1e-7)


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "big_endian"])
def test_a_voi_table_comes_before_a_window_and_agrees_with_pydicom(syntax):
    entries = np.rint((np.linspace(0, 1, 3000) ** 2) * 1023).astype(np.uint16)
    item = table_item(500, entries, 10)
    if syntax == "big_endian":
        item[0].LUTData = entries.astype(">u2").tobytes()
    content = draw_dicom(syntax=syntax, VOILUTSequence=item, WindowCenter=2000, WindowWidth=4000)
    stored = draw_stored(12)
    expected = entries[np.clip(stored.astype(int) - 500, 0, 2999)] / 1023
    np.testing.assert_allclose(decode(content).pixels, expected, atol=1e-7)
    if syntax != "big_endian":  # whose tables pydicom reads in the machine's byte order
        dataset = dcmread(io.BytesIO(content))
        shown = apply_voi_lut(dataset.pixel_array, dataset) / 1023
        np.testing.assert_allclose(decode(content).pixels, shown, atol=1e-7)


def test_a_voi_table_may_start_below_zero():
    stored = draw_stored(12, signed=True)
    entries = np.arange(4096, dtype=np.uint16)
    content = draw_dicom(stored, VOILUTSequence=table_item(-2048, entries, 12, signed=True))
    np.testing.assert_allclose(decode(content).pixels, (stored + 2048.0) / 4095, atol=1e-7)


def test_a_modality_table_comes_before_the_window():
    entries = np.arange(4095, -1, -1, dtype=np.uint16)
    content = draw_dicom(
        ModalityLUTSequence=table_item(0, entries, 16), WindowCenter=2048, WindowWidth=4096
    )
    np.testing.assert_allclose(decode(content).pixels, (4095.0 - draw_stored(12)) / 4095, atol=1e-7)


def test_an_empty_table_sequence_counts_for_nothing():
    content = draw_dicom(VOILUTSequence=Sequence([]))
    np.testing.assert_array_equal(decode(content).pixels, decode(draw_dicom()).pixels)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_padding_is_black_and_takes_no_part_in_the_stretch(photometric, signed):
    stored = draw_stored(12, signed=signed) // 4
    padding = -2000 if signed else 4000
    inside = stored[8:].copy()
    stored[:8] = padding
    pixels = decode(draw_dicom(stored, photometric=photometric, PixelPaddingValue=padding)).pixels
    expected = stretched(inside)
    assert pixels[:8].max() == 0
    np.testing.assert_allclose(
        pixels[8:], 1 - expected if photometric == "MONOCHROME1" else expected, atol=1e-7
    )


def test_a_padding_range_is_black_whichever_way_round_it_is_given():
    stored = draw_stored(12) // 4 + 200
    stored[:4], stored[4:8] = 10, 100
    for first, last in ((0, 150), (150, 0)):
        content = draw_dicom(stored, PixelPaddingValue=first, PixelPaddingRangeLimit=last)
        pixels = decode(content).pixels
        assert pixels[:8].max() == 0
        np.testing.assert_allclose(pixels[8:], stretched(stored[8:]), atol=1e-7)


def test_a_picture_that_is_all_padding_is_refused():
    content = draw_dicom(np.full((40, 32), 7, np.uint16), PixelPaddingValue=7)
    with pytest.raises(NotARadiograph, match="padding"):
        decode(content)


@pytest.mark.parametrize(
    "options",
    [
        {"WindowCenter": 100, "WindowWidth": 0},
        {"RescaleSlope": 0, "RescaleIntercept": 0},
        {"WindowCenter": 100, "WindowWidth": 50, "VOILUTFunction": "CUBIC"},
        {"VOILUTSequence": table_item(0, np.arange(8), 2)},
        {"ModalityLUTSequence": table_item(0, np.array([5000, 3]), 12)},
        {"BitsStored": 14},
        {"HighBit": 15, "BitsStored": 17},
    ],
    ids=str,
)
def test_a_header_that_contradicts_itself_is_refused(options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = draw_dicom(**options)
    with pytest.raises(UnreadableImage):
        decode(content)


# --- what is no plain radiograph


@pytest.mark.parametrize(
    ("modality", "sop_class", "name"),
    [
        ("CT", "1.2.840.10008.5.1.4.1.1.2", r"CT slice \(CT Image Storage\)"),
        ("MR", "1.2.840.10008.5.1.4.1.1.4", r"MR slice \(MR Image Storage\)"),
        ("US", "1.2.840.10008.5.1.4.1.1.6.1", r"ultrasound image \(Ultrasound Image Storage\)"),
        ("MG", "1.2.840.10008.5.1.4.1.1.1.2", "mammogram"),
        ("CT", SECONDARY_CAPTURE, "CT slice"),
        ("SR", "1.2.840.10008.5.1.4.1.1.88.11", "report"),
        ("ZZ", SECONDARY_CAPTURE, "modality 'ZZ'"),
        (None, "1.2.840.10008.5.1.4.1.1.128", "Positron Emission Tomography"),
        (None, "1.2.3.4", "1.2.3.4"),
    ],
)
def test_another_modality_is_refused_by_name(modality, sop_class, name):
    content = draw_dicom(Modality=modality, SOPClassUID=sop_class)
    with pytest.raises(NotARadiograph, match=name):
        decode(content)


@pytest.mark.parametrize("modality", ["CR", "DX", "RG", "RF", "OT", None])
def test_plain_radiographs_are_read_under_every_name_they_go_by(modality):
    sop_class = SECONDARY_CAPTURE if modality in ("OT", None) else None
    content = draw_dicom(Modality=modality, **({"SOPClassUID": sop_class} if sop_class else {}))
    assert decode(content).width == 32


def test_several_frames_are_refused():
    with pytest.raises(NotARadiograph, match="12 frames"):
        decode(draw_dicom(NumberOfFrames=12))
    assert decode(draw_dicom(NumberOfFrames=1)).width == 32


def test_a_report_without_pixels_is_refused_as_no_picture():
    dataset = build(draw_stored(), SOPClassUID=SECONDARY_CAPTURE, Modality="OT")
    for keyword in ("Rows", "Columns", "PixelData"):
        delattr(dataset, keyword)
    with pytest.raises(NotARadiograph, match="no picture"):
        decode(write(dataset))


def test_pixels_that_are_not_there_are_missed():
    dataset = build(draw_stored())
    del dataset.PixelData
    with pytest.raises(UnreadableImage, match="pixels"):
        decode(write(dataset))


@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "PALETTE COLOR"},
        {"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31},
        {"SamplesPerPixel": 4},
    ],
    ids=str,
)
def test_other_pixel_layouts_are_refused_with_those_that_are_read(options):
    with pytest.raises(UnsupportedFormat, match="read"):
        decode(draw_dicom(**options))


def test_an_unknown_transfer_syntax_is_refused_by_name():
    content = draw_dicom(syntax="rle").replace(
        b"1.2.840.10008.1.2.5\0", b"1.2.840.10008.1.2.4.100\0"[:20]
    )
    with pytest.raises(UnsupportedFormat, match="transfer syntax"):
        decode(content)


# --- what is damaged, too large, or a trap


@pytest.mark.parametrize("syntax", [*NATIVE, *LOSSLESS, *LOSSY])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_a_dicom_file_that_ends_early_is_refused(syntax, share):
    content = draw_dicom(syntax=syntax, bits=8 if syntax == "jpeg_baseline" else 12)
    with pytest.raises((UnreadableImage, NotARadiograph)):
        decode(content[: int(len(content) * share)], allow_truncated=True)


def with_frame(content: bytes, frame: bytes) -> bytes:
    """Return a compressed DICOM file with another frame."""
    dataset = dcmread(io.BytesIO(content))
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


@pytest.mark.parametrize("syntax", [*LOSSLESS, *LOSSY])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_a_frame_that_was_cut_and_closed_is_seen_to_be_short(syntax, share):
    content = draw_dicom(syntax=syntax, bits=8 if syntax == "jpeg_baseline" else 12)
    frame = frame_of(dcmread(io.BytesIO(content)))
    for ending in (b"\xff\xd9", b""):
        with pytest.raises(UnreadableImage):
            decode(with_frame(content, frame[: int(len(frame) * share)] + ending))


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_frame_that_lacks_scans_or_restart_intervals_is_seen_to_be_short(mode, options):
    drawn = draw_stored(8)
    stored = drawn if mode == "L" else np.repeat(drawn[..., None], 3, axis=2)
    photometric = "MONOCHROME2" if mode == "L" else "YBR_FULL"
    content = draw_dicom(stored, syntax="jpeg_baseline", bits=8, photometric=photometric)
    stream = io.BytesIO()
    Image.fromarray(stored.astype(np.uint8)).save(stream, "JPEG", quality=95, **options)
    frame = stream.getvalue()
    decode(with_frame(content, frame))
    marker = b"\xff\xda" if "progressive" in options else b"\xff\xd0"
    with pytest.raises(UnreadableImage, match="end early"):
        decode(with_frame(content, frame[: frame.rindex(marker)] + b"\xff\xd9"))


def test_a_whole_jpeg_frame_that_ends_in_mid_grey_is_no_short_one():
    stored = draw_stored(8)
    stored[-16:] = 128
    assert decode(draw_dicom(stored, syntax="jpeg_baseline", bits=8)).pixels.shape == stored.shape


def test_a_sequential_jpeg_frame_may_name_other_coefficients_than_all():
    """As some devices write it; gdcm warns of that, and gives up at a second warning."""
    content = draw_dicom(syntax="jpeg_extended")
    frame = bytearray(frame_of(dcmread(io.BytesIO(content))))
    header = frame.index(b"\xff\xda\0\x08")
    assert frame[header + 8] == 63
    frame[header + 8] = 0
    expected = decode(content).pixels
    np.testing.assert_array_equal(decode(with_frame(content, bytes(frame))).pixels, expected)


@pytest.mark.parametrize("syntax", ["jpeg_lossless", "jpeg_ls", "jpeg_2000", "jpeg_baseline"])
def test_a_damaged_frame_is_told_of_in_one_plain_sentence(syntax, caplog):
    content = draw_dicom(syntax=syntax, bits=8 if syntax == "jpeg_baseline" else 12)
    frame = frame_of(dcmread(io.BytesIO(content)))
    with caplog.at_level("INFO"), pytest.raises(UnreadableImage) as caught:
        decode(with_frame(content, frame[: len(frame) // 2] + b"\xff\xd9"))
    message = str(caught.value)
    assert message.startswith("the DICOM file's compressed pixels ")
    assert "\n" not in message
    assert len(message) < 130
    assert not [record for record in caplog.records if record.name.startswith("utils")]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"Columns": 16}, NotARadiograph, "2 pictures"),
        ({"Rows": 20}, NotARadiograph, "2 pictures"),
        ({"Columns": 31}, UnreadableImage, "need 2480 bytes, 2560 are there"),
        ({"Rows": 39}, UnreadableImage, "need 2496 bytes, 2560 are there"),
    ],
)
@pytest.mark.parametrize("syntax", list(NATIVE))
def test_more_pixels_than_the_header_declares_are_refused(syntax, change, error, message):
    with pytest.raises(error, match=message):
        decode(draw_dicom(syntax=syntax, **change))


def test_the_byte_that_makes_an_odd_length_even_is_no_pixel():
    stored = draw_stored(8, height=41, width=33)
    assert len(build(stored, bits=8).PixelData) == 41 * 33 + 1
    np.testing.assert_allclose(
        decode(draw_dicom(stored, bits=8)).pixels, stretched(stored), atol=1e-7
    )
    short_by_a_column = draw_stored(8, height=41, width=33)
    with pytest.raises(UnreadableImage, match="1312 bytes"):
        decode(draw_dicom(short_by_a_column, bits=8, Columns=32))


@pytest.mark.parametrize("syntax", ["jpeg_baseline", "jpeg_lossless", "jpeg_ls", "jpeg_2000"])
def test_a_compressed_frame_may_not_declare_another_size_than_the_file(syntax):
    bits = 8 if syntax == "jpeg_baseline" else 12
    content = draw_dicom(syntax=syntax, bits=bits)
    rows, columns = struct.pack("<H", 40), struct.pack("<H", 32)
    start = content.index(b"\x28\0\x10\0US\2\0" + rows)
    grown = content[: start + 8] + struct.pack("<H", 44) + content[start + 10 :]
    assert columns in grown
    with pytest.raises(UnreadableImage, match="32 x 40"):
        decode(grown)


def test_a_jpeg_2000_frame_that_declares_a_huge_size_never_reaches_its_codec(monkeypatch):
    content = draw_dicom(syntax="jpeg_2000")
    start = content.index(b"\xff\x4f\xff\x51") + 8
    huge = content[:start] + struct.pack(">2L", 60000, 60000) + content[start + 8 :]

    def codec(*_: object) -> None:
        raise AssertionError("the codec was reached")

    monkeypatch.setattr(pixel_data, "_packed", codec)
    with pytest.raises(UnreadableImage, match="60000 x 60000"):
        decode(huge)


def test_a_huge_header_is_refused_before_any_pixel():
    dataset = build(draw_stored())
    dataset.Rows = dataset.Columns = 60000
    with pytest.raises(TooLarge, match="60000 x 60000"):
        decode(write(dataset))


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xfe", b"\xfe\xff\xff\xff", b"\0\0\0\x80"])
def test_wrong_lengths_are_found_out(length):
    content = draw_dicom(VOILUTSequence=table_item(0, np.arange(16), 8))
    start = content.index(b"\x28\0\x06\x30OW\0\0") + 8
    with pytest.raises(UnreadableImage, match="ends early"):
        decode(content[:start] + length + content[start + 4 :])


def nested(depth: int) -> bytes:
    """A private sequence in itself, undefined lengths throughout."""
    start = b"\x09\0\x10\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    return start * depth + end * depth


def with_elements(elements: bytes) -> bytes:
    """Put elements of group 9 where they belong in a drawn file."""
    content = draw_dicom()
    position = content.index(b"\x10\0\x10\0PN")
    return content[:position] + elements + content[position:]


def test_deeply_nested_sequences_are_skipped():
    expected = decode(draw_dicom()).pixels
    np.testing.assert_array_equal(decode(with_elements(nested(20_000))).pixels, expected)


def test_a_file_of_endless_empty_items_is_given_up():
    items = b"\x09\0\x10\x10SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\0\0\0\0" * 300_000
    with pytest.raises(UnreadableImage, match="elements"):
        decode(with_elements(items + b"\xfe\xff\xdd\xe0\0\0\0\0"))


def test_a_sequence_that_never_ends_is_found_out():
    with pytest.raises(UnreadableImage, match="ends early|out of order"):
        decode(with_elements(nested(3)[:60]))


def test_a_deflated_bomb_costs_less_than_50_mb():
    """256 MB of zeros in one element, deflated to a quarter of a megabyte."""
    script = """
import json, resource, struct, zlib
from utils.errors import FractureError
from utils.formats import decode
uid = b"1.2.840.10008.1.2.1.99"
meta = b"\\x02\\0\\x10\\0UI" + struct.pack("<H", len(uid)) + uid
packer = zlib.compressobj(9, zlib.DEFLATED, -15)
parts = [packer.compress(b"\\x09\\0\\x10\\x10OB\\0\\0" + struct.pack("<L", 1 << 28))]
parts += [packer.compress(bytes(1 << 20)) for _ in range(256)] + [packer.flush()]
bomb = bytes(128) + b"DICM" + meta + b"".join(parts)
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
try: decode(bomb)
except FractureError as error:
    print(json.dumps([peak() - before, type(error).__name__, len(bomb), str(error)]))
"""
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    grown_kb, error, length, message = json.loads(done.stdout)
    assert length < 500_000
    assert error == "TooLarge"
    assert "unpacks to more than 64 MB" in message
    assert grown_kb < 50 * 1024


def test_a_damaged_deflated_stream_is_refused():
    content = draw_dicom(syntax="deflated")
    for damaged in (content[:-40], content[:400] + b"\xff" * 40 + content[440:]):
        with pytest.raises(UnreadableImage, match="deflated|damaged|early"):
            decode(damaged)


def rle_with(segment: bytes, planes: int = 1) -> bytes:
    dataset = build(draw_stored(8), bits=8, syntax="rle")
    offsets = [64] + [0] * 14
    dataset.PixelData = encapsulate([struct.pack("<16L", planes, *offsets) + segment])
    dataset["PixelData"].is_undefined_length = True
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def test_run_length_coding_follows_the_standards_example():
    """PackBits: 128 says nothing, 129 to 255 repeat, 0 to 127 copy."""
    row = b"\x80" + bytes([257 - 20]) + b"\x07" + bytes([11]) + bytes(range(12))
    expected = np.tile(np.array([7] * 20 + list(range(12)), np.uint8), (40, 1))
    pixels = decode(rle_with(row * 40)).pixels
    np.testing.assert_allclose(pixels, stretched(expected), atol=1e-7)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (rle_with(b"\x1f" + bytes(32)), "RLE rows are missing"),
        (rle_with(b"\x1f" + bytes(32), planes=2), "2 RLE segments"),
    ],
)
def test_run_length_coding_that_does_not_fit_is_refused(content, message):
    with pytest.raises(UnreadableImage, match=message):
        decode(content)


@pytest.mark.parametrize(("position", "value"), [(15, 0x00), (15, 0x01), (15, 0x20), (16, 0xFF)])
def test_a_frame_over_which_gdcm_ends_its_process_is_an_error_and_no_crash(position, value):
    """A wrong byte in the header, over which gdcm 3.2 aborts or touches foreign memory."""
    dataset = dcmread(io.BytesIO(draw_dicom(syntax="jpeg_lossless")))
    frame = bytearray(frame_of(dataset))
    frame[position] = value
    dataset.PixelData = encapsulate([bytes(frame)])
    dataset["PixelData"].is_undefined_length = True
    stream = io.BytesIO()
    dataset.save_as(stream)
    with pytest.raises(UnreadableImage, match="damaged"):
        decode(stream.getvalue())


def test_gdcms_process_does_what_the_function_in_it_does():
    stored = draw_stored(12)
    dataset = dcmread(io.BytesIO(draw_dicom(stored, syntax="jpeg_lossless")))
    order: dict[str, int | str] = {
        "transfer_syntax": str(dataset.file_meta.TransferSyntaxUID),
        "rows": 40,
        "columns": 32,
        "allocated": 16,
        "stored": 12,
        "signed": 0,
    }
    samples = np.frombuffer(gdcm_process.unpack(order, frame_of(dataset)), np.uint16)
    np.testing.assert_array_equal(samples.reshape(40, 32), stored)


def test_a_machine_without_gdcm_says_so(monkeypatch, tmp_path):
    script = tmp_path / "no_gdcm.py"
    script.write_text(f"raise SystemExit({gdcm_process.NO_GDCM})")
    monkeypatch.setattr(gdcm_process, "__file__", str(script))
    with pytest.raises(SetupError, match="gdcm"):
        decode(draw_dicom(syntax="jpeg_lossless"))


def test_a_frame_that_takes_gdcm_too_long_is_given_up(monkeypatch, tmp_path):
    script = tmp_path / "sleeps.py"
    script.write_text("import time; time.sleep(30)")
    monkeypatch.setattr(gdcm_process, "__file__", str(script))
    monkeypatch.setattr(gdcm_codec, "SECONDS", 0.5)
    with pytest.raises(UnreadableImage, match="seconds"):
        decode(draw_dicom(syntax="jpeg_lossless"))


def test_nothing_of_a_patients_name_is_kept_or_told(caplog, recwarn):
    content = draw_dicom(Rows=41)
    with pytest.raises(UnreadableImage) as caught:
        decode(content)
    told = str(caught.value) + caplog.text + "".join(str(warning.message) for warning in recwarn)
    assert "Nobody" not in told


# JPEG is left out: each of its frames starts a process.
SEEDS = [draw_dicom(syntax=syntax) for syntax in ("implicit", "big_endian", "deflated", "rle")]
SEEDS += [draw_dicom(syntax=syntax) for syntax in ("jpeg_ls", "jpeg_2000", "jpeg_2000_lossy")]
SEEDS += [draw_dicom(VOILUTSequence=table_item(0, np.arange(4096), 12), PixelPaddingValue=3)]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.sampled_from(SEEDS),
    edits=st.lists(st.tuples(st.integers(128, 4000), st.binary(max_size=6)), max_size=6),
    cut=st.integers(0, 8000),
)
def test_damaged_files_give_a_radiograph_or_one_of_our_errors(seed, edits, cut):
    content = bytearray(seed)
    for position, value in edits:
        position = 128 + position % (len(content) - 128)
        content[position : position + len(value)] = value
    try:
        pixels = decode(bytes(content[:cut] if cut > 200 else content)).pixels
    except FractureError:
        return
    assert pixels.dtype == np.float32
    assert pixels.flags.c_contiguous
    assert pixels.min() >= 0
    assert pixels.max() <= 1


def test_deflated_content_unpacks_to_what_zlib_says():
    content, plain = draw_dicom(syntax="deflated"), draw_dicom(syntax="explicit")
    start = 144 + struct.unpack_from("<L", content, 140)[0]
    unpacked = zlib.decompress(content[start:], -zlib.MAX_WBITS)
    assert unpacked == without_meta(plain)
    limits = Limits(max_bytes=len(unpacked))
    np.testing.assert_array_equal(decode(content, limits=limits).pixels, decode(plain).pixels)
    with pytest.raises(TooLarge):
        decode(content, limits=Limits(max_bytes=len(unpacked) - 1))


# --- real files


def read(shared_data: Path, name: str) -> bytes:
    return (shared_data / "dicom" / f"{name}.dcm").read_bytes()


@pytest.mark.parametrize(
    ("first", "others"),
    [("RG2_RLE", ("RG2_JPLL",)), ("RG3_RLE", ("RG3_JPLL", "RG3_JLSL", "RG3_J2KR"))],
)
def test_lossless_files_of_one_radiograph_decode_exactly_alike(shared_data, first, others):
    expected = decode(read(shared_data, first)).pixels
    for name in others:
        np.testing.assert_array_equal(decode(read(shared_data, name)).pixels, expected)


@pytest.mark.parametrize(
    ("lossless", "lossy"),
    [("RG2_RLE", name) for name in ("RG2_JPLY", "RG2_JLSN", "RG2_J2KI")]
    + [("RG3_RLE", name) for name in ("RG3_JPLY", "RG3_JLSN", "RG3_J2KI")],
)
def test_lossy_files_of_one_radiograph_stay_within_a_few_levels(shared_data, lossless, lossy):
    expected = decode(read(shared_data, lossless)).pixels
    difference = np.abs(decode(read(shared_data, lossy)).pixels - expected)
    assert difference.mean() < 0.005
    assert np.quantile(difference, 0.999) < 0.03


@pytest.mark.parametrize(
    "name", ["RG1_J2KI", "RG2_RLE", "RG2_J2KI", "RG3_RLE", "RG3_JLSL", "DX_highdicom"]
)
def test_real_radiographs_agree_with_pydicoms_own_rendering(shared_data, name):
    dataset = dcmread(shared_data / "dicom" / f"{name}.dcm")
    shown = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    expected = shown / (2**dataset.BitsStored - 1)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        expected = 1 - expected
    np.testing.assert_allclose(decode(read(shared_data, name)).pixels, expected, atol=1e-6)


def test_monochrome1_files_come_out_with_bone_bright(shared_data):
    """The tibia's shaft in RG3 against the air beside it; the spine in RG1 against the lung."""
    tibia = decode(read(shared_data, "RG3_RLE")).pixels
    assert tibia[600:900, 820:900].mean() > tibia[600:900, 500:560].mean() + 0.3
    chest = decode(read(shared_data, "RG1_J2KI")).pixels
    assert chest[600:900, 850:950].mean() > chest[600:900, 450:550].mean() + 0.05


@pytest.mark.parametrize(
    ("name", "what"), [("CT1_J2KI", "CT"), ("MR1_J2KI", "MR"), ("US1_J2KI", "ultrasound")]
)
def test_other_modalities_are_refused_by_name(shared_data, name, what):
    with pytest.raises(NotARadiograph, match=what):
        decode(read(shared_data, name))


def test_the_drawn_files_are_what_pydicom_reads():
    dataset = dcmread(io.BytesIO(draw_dicom()))
    assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    np.testing.assert_array_equal(dataset.pixel_array, draw_stored(12))
