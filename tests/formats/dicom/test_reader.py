"""DICOM files as a whole: modalities, damage, real radiographs."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from tests.support.dicoms import (
    LOSSLESS,
    LOSSY,
    NATIVE,
    SECONDARY_CAPTURE,
    build,
    draw_dicom,
    draw_stored,
    read_sample,
    table_item,
    write,
)
from utils.errors import FractureError, NotARadiograph, TooLarge, UnreadableImage
from utils.formats import decode


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
def test_every_name_of_a_radiograph_is_read(modality):
    sop_class = SECONDARY_CAPTURE if modality in ("OT", None) else None
    content = draw_dicom(Modality=modality, **({"SOPClassUID": sop_class} if sop_class else {}))
    assert decode(content).width == 32


@pytest.mark.parametrize("modality", ["RX", "XR", "xr ", "X-RAY", "XRAY", "RAD", "DR"])
def test_other_spellings_of_a_radiograph_are_read(modality):
    assert decode(draw_dicom(Modality=modality)).width == 32


@pytest.mark.parametrize("modality", ["CR", "DX", "RX"])
def test_a_private_class_goes_by_its_modality(modality):
    content = draw_dicom(SOPClassUID="1.2.392.200036.9125.1.1.2", Modality=modality)
    assert decode(content).width == 32


def test_a_private_class_of_another_modality_is_not():
    content = draw_dicom(SOPClassUID="1.2.392.200036.9125.1.1.2", Modality="CT")
    with pytest.raises(NotARadiograph, match="CT slice"):
        decode(content)


@pytest.mark.parametrize("syntax", [*NATIVE, *LOSSLESS, *LOSSY])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_a_file_that_ends_early_is_refused(syntax, share):
    content = draw_dicom(syntax=syntax, bits=8 if syntax == "jpeg_baseline" else 12)
    with pytest.raises((UnreadableImage, NotARadiograph)):
        decode(content[: int(len(content) * share)], allow_truncated=True)


def test_a_huge_header_is_refused_first():
    dataset = build(draw_stored())
    dataset.Rows = dataset.Columns = 60000
    with pytest.raises(TooLarge, match="60000 x 60000"):
        decode(write(dataset))


def test_a_patients_name_never_leaks(caplog, recwarn):
    content = draw_dicom(Rows=41)
    with pytest.raises(UnreadableImage) as caught:
        decode(content)
    reported = (
        str(caught.value) + caplog.text + "".join(str(warning.message) for warning in recwarn)
    )
    assert "Nobody" not in reported


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
def test_damage_gives_a_radiograph_or_our_error(seed, edits, cut):
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "others"),
    [("RG2_RLE", ("RG2_JPLL",)), ("RG3_RLE", ("RG3_JPLL", "RG3_JLSL", "RG3_J2KR"))],
)
def test_lossless_files_decode_exactly_alike(shared_data, first, others):
    expected = decode(read_sample(shared_data, first)).pixels
    for name in others:
        np.testing.assert_array_equal(decode(read_sample(shared_data, name)).pixels, expected)


@pytest.mark.parametrize(
    ("lossless", "lossy"),
    [("RG2_RLE", name) for name in ("RG2_JPLY", "RG2_JLSN", "RG2_J2KI")]
    + [("RG3_RLE", name) for name in ("RG3_JPLY", "RG3_JLSN", "RG3_J2KI")],
)
def test_lossy_files_stay_within_a_few_levels(shared_data, lossless, lossy):
    expected = decode(read_sample(shared_data, lossless)).pixels
    difference = np.abs(decode(read_sample(shared_data, lossy)).pixels - expected)
    assert difference.mean() < 0.005
    assert np.quantile(difference, 0.999) < 0.03


@pytest.mark.parametrize(
    ("name", "what"), [("CT1_J2KI", "CT"), ("MR1_J2KI", "MR"), ("US1_J2KI", "ultrasound")]
)
def test_real_other_modalities_are_refused_by_name(shared_data, name, what):
    with pytest.raises(NotARadiograph, match=what):
        decode(read_sample(shared_data, name))


def test_pydicom_reads_the_drawn_files():
    dataset = dcmread(io.BytesIO(draw_dicom()))
    assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    np.testing.assert_array_equal(dataset.pixel_array, draw_stored(12))
