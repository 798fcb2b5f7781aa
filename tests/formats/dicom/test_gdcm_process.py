"""The decoder process."""

from __future__ import annotations

import io

import numpy as np
from pydicom import dcmread

from tests.support.dicoms import draw_dicom, draw_stored, frame_of
from utils.formats.dicom import gdcm_process


def test_the_process_unpacks_stored_values():
    stored = draw_stored(12)
    dataset = dcmread(io.BytesIO(draw_dicom(stored, syntax="jpeg_lossless")))
    settings: dict[str, int | str] = {
        "transfer_syntax": str(dataset.file_meta.TransferSyntaxUID),
        "rows": 40,
        "columns": 32,
        "allocated": 16,
        "stored": 12,
        "signed": 0,
    }
    samples = np.frombuffer(gdcm_process.unpack(settings, frame_of(dataset)), np.uint16)
    np.testing.assert_array_equal(samples.reshape(40, 32), stored)
