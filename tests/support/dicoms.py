"""DICOM files in every transfer syntax that is read, written by pydicom and gdcm."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import gdcm
import numpy as np
from PIL import Image
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.filebase import DicomBytesIO
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000 as JPEG2000Lossy
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    generate_uid,
)

from tests.support.pictures import draw_radiograph
from utils.formats import decode

COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

NATIVE = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big_endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}
LOSSLESS = {
    "rle": RLELossless,
    "jpeg_ls": JPEGLSLossless,
    "jpeg_2000": JPEG2000Lossless,
    "jpeg_lossless": JPEGLosslessSV1,
}
LOSSY = {
    "jpeg_baseline": JPEGBaseline8Bit,
    "jpeg_extended": JPEGExtended12Bit,
    "jpeg_ls_near": JPEGLSNearLossless,
    "jpeg_2000_lossy": JPEG2000Lossy,
}
SYNTAXES = {**NATIVE, **LOSSLESS, **LOSSY}


def draw_stored(
    bits: int = 12, *, signed: bool = False, height: int = 40, width: int = 32
) -> np.ndarray:
    """Draw a radiograph as stored values of so many bits, uint16 or int16 (height, width)."""
    values = np.rint(draw_radiograph(height, width) * (2**bits - 1)).astype(np.int64)
    if signed:
        return (values - 2 ** (bits - 1)).astype(np.int16)
    return values.astype(np.uint16)


def build(
    stored: np.ndarray,
    *,
    bits: int = 12,
    photometric: str = "MONOCHROME2",
    syntax: str = "explicit",
    **elements: Any,
) -> Dataset:
    """Build a Computed Radiography dataset around (height, width) or (height, width, 3) values.

    Args:
        stored: whole numbers that fit ``bits``; signed ones make a signed file.
        bits: Bits Stored; up to 8 they are allocated 8, else 16.
        photometric: Photometric Interpretation.
        syntax: name in SYNTAXES; compression happens in :func:`write`.
        elements: further or other elements by keyword; None leaves one out.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = COMPUTED_RADIOGRAPHY
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["drawn for a test"])
    meta.TransferSyntaxUID = SYNTAXES[syntax]
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.preamble = bytes(128)
    signed = stored.dtype.kind == "i"
    allocated = 8 if bits <= 8 else 16
    dataset.SOPClassUID = COMPUTED_RADIOGRAPHY
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Modality = "CR"
    dataset.PatientName = "Nobody^At^All"
    dataset.SamplesPerPixel = 3 if stored.ndim == 3 else 1
    dataset.PhotometricInterpretation = photometric
    if stored.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, bits, bits - 1
    dataset.PixelRepresentation = int(signed)
    order = ">" if syntax == "big_endian" else "<"
    words = stored.astype(f"{order}{'i' if signed else 'u'}{allocated // 8}")
    packed = words.tobytes()
    dataset.PixelData = packed + b"\0" * (len(packed) % 2)
    dataset["PixelData"].VR = "OW" if allocated == 16 else "OB"
    for keyword, value in elements.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def write(dataset: Dataset) -> bytes:
    """Write a dataset of :func:`build` in the transfer syntax that it names."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in (JPEGLosslessSV1, JPEGExtended12Bit):
        return _compressed_by_gdcm(dataset, syntax)
    if syntax == JPEGBaseline8Bit:
        stream = io.BytesIO()
        pixels = np.frombuffer(dataset.PixelData, np.uint8)
        shape = (dataset.Rows, dataset.Columns) + ((3,) if dataset.SamplesPerPixel == 3 else ())
        Image.fromarray(pixels[: np.prod(shape)].reshape(shape)).save(stream, "JPEG", quality=95)
        dataset.PixelData = encapsulate([stream.getvalue()])
        dataset["PixelData"].is_undefined_length = True
    elif syntax in (*LOSSLESS.values(), *LOSSY.values()):
        lossy: dict[str, Any] = {}
        if syntax == JPEGLSNearLossless:
            lossy["jls_error"] = 2
        elif syntax == JPEG2000Lossy:
            lossy["j2k_psnr"] = [60]
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.compress(syntax, generate_instance_uid=False, **lossy)
    return _written(dataset)


def _written(dataset: Dataset) -> bytes:
    syntax = dataset.file_meta.TransferSyntaxUID
    stream = DicomBytesIO()
    dcmwrite(
        stream,
        dataset,
        implicit_vr=syntax.is_implicit_VR,
        little_endian=syntax.is_little_endian,
        enforce_file_format=True,
    )
    return stream.getvalue()


def draw_dicom(
    stored: np.ndarray | None = None, *, syntax: str = "explicit", bits: int = 12, **options: Any
) -> bytes:
    """Draw and write a DICOM radiograph; options as in :func:`build`."""
    values = draw_stored(bits) if stored is None else stored
    return write(build(values, syntax=syntax, bits=bits, **options))


def _compressed_by_gdcm(dataset: Dataset, syntax: str) -> bytes:
    """Compress with gdcm, which has the encoders that pydicom lacks."""
    grey = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    bits, signed = int(dataset.BitsStored), int(dataset.PixelRepresentation)
    allocated = 12 if syntax == JPEGExtended12Bit else int(dataset.BitsAllocated)
    image = gdcm.ImageWriter()
    picture = image.GetImage()
    picture.SetNumberOfDimensions(2)
    picture.SetDimensions((int(dataset.Columns), int(dataset.Rows), 1))
    picture.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    picture.SetPixelFormat(gdcm.PixelFormat(1, allocated, bits, bits - 1, signed))
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetByteStringValue(dataset.PixelData)
    picture.SetDataElement(element)
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    if syntax == JPEGExtended12Bit:
        codec = gdcm.JPEGCodec()
        codec.SetLossless(False)
        codec.SetQuality(95)
        change.SetUserCodec(codec)
    change.SetInput(picture)
    if not change.Change():
        raise RuntimeError(f"gdcm cannot write {syntax}")
    fragment = change.GetOutput().GetDataElement().GetSequenceOfFragments().GetFragment(0)
    frame = fragment.GetByteValue().GetBuffer().encode("utf-8", "surrogateescape")
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    return _written(dataset)


def frame_of(dataset: Dataset) -> bytes:
    """Return the compressed frame of a dataset."""
    return get_frame(dataset.PixelData, 0, number_of_frames=1)


def stretched(stored: np.ndarray) -> np.ndarray:
    """Return what is shown where no window is given: lowest value black, highest white."""
    values = stored.astype(np.float64)
    return (values - values.min()) / (values.max() - values.min())


def noticed(content: bytes) -> list[str]:
    """Return the notices of a file's decoding, by the ends of their sentences' keys."""
    return [notice.key.removeprefix("formats.dicom_") for notice in decode(content).notices]


def table_item(first: int, entries: np.ndarray, bits: int, *, signed: bool = False) -> Sequence:
    """Build the sequence of one look-up table."""
    item = Dataset()
    item.add_new(0x00283002, "SS" if signed else "US", [len(entries), first, bits])
    item.add_new(0x00283006, "OW", entries.astype("<u2").tobytes())
    return Sequence([item])


def without_meta(content: bytes) -> bytes:
    """Strip the preamble and the file meta information."""
    length = struct.unpack_from("<L", content, 140)[0]
    return content[144 + length :]


def with_frame(content: bytes, frame: bytes) -> bytes:
    """Return a compressed DICOM file with another frame."""
    dataset = dcmread(io.BytesIO(content))
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def read_sample(shared_data: Path, name: str) -> bytes:
    """Read a real DICOM file of the shared data."""
    return (shared_data / "dicom" / f"{name}.dcm").read_bytes()
