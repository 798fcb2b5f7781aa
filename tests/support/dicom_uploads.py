"""DICOM files for the tests of the web app; the decoder's own are in dicoms.py."""

from __future__ import annotations

import io

import numpy as np

from tests.support.pictures import draw_radiograph


def dicom(
    *, modality: str = "DX", frames: int = 1, rows: int = 0, columns: int = 0, deflated: bytes = b""
) -> bytes:
    """Encode a drawn radiograph of 12 bits, 320 x 240, as a DICOM file.

    Args:
        modality: of the study.
        frames: written more than once where it is above 1.
        rows, columns: declared instead of the true ones.
        deflated: a compressed data set, which stands for the whole of it.
    """
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import (
        ComputedRadiographyImageStorage,
        CTImageStorage,
        DeflatedExplicitVRLittleEndian,
        DigitalXRayImageStorageForPresentation,
        ExplicitVRLittleEndian,
        MRImageStorage,
        UltrasoundImageStorage,
        generate_uid,
    )

    kinds = {
        "DX": DigitalXRayImageStorageForPresentation,
        "CR": ComputedRadiographyImageStorage,
        "CT": CTImageStorage,
        "MR": MRImageStorage,
        "US": UltrasoundImageStorage,
    }
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = kinds[modality]
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian if deflated else ExplicitVRLittleEndian
    if deflated:
        stream = io.BytesIO()
        stream.write(bytes(128) + b"DICM")
        pydicom.filewriter.write_file_meta_info(stream, meta, enforce_standard=True)
        return stream.getvalue() + deflated
    pixels = np.rint(draw_radiograph(320, 240, fractured=True) * 4095).astype("<u2")
    image = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    image.SOPClassUID = meta.MediaStorageSOPClassUID
    image.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    image.Modality = modality
    image.PatientName = "Secret^Patient"
    image.Rows, image.Columns = rows or pixels.shape[0], columns or pixels.shape[1]
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    image.PixelRepresentation = 0
    if frames > 1:
        image.NumberOfFrames = frames
    image.PixelData = pixels.tobytes() * frames
    stream = io.BytesIO()
    image.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
