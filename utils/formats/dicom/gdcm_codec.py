"""JPEG frames that only gdcm decodes, by a process of its own.

That process can crash, hang or run out of memory over a damaged frame, and nothing else does.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping

from utils.errors import SetupError, UnreadableImage
from utils.formats.dicom import gdcm_process

SECONDS = 60


def decode(settings: Mapping[str, int | str], frame: bytes, length: int) -> tuple[bytes, str]:
    """Decode one grey JPEG frame.

    Args:
        settings: what ``gdcm_process.unpack`` takes.
        frame: the JPEG.
        length: bytes that the samples must have.

    Returns:
        The samples, row by row, and the warnings of libjpeg.

    Raises:
        UnreadableImage: the frame is damaged or takes too long.
        SetupError: gdcm is not installed.
    """
    try:
        done = subprocess.run(
            # Without -P the modules beside the script would hide those of the standard library.
            [sys.executable, "-P", gdcm_process.__file__],
            input=json.dumps(settings).encode() + b"\n" + frame,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnreadableImage("formats.dicom_gdcm_slow", seconds=SECONDS) from error
    if done.returncode == gdcm_process.NO_GDCM:
        raise SetupError("formats.dicom_gdcm_missing")
    if done.returncode != 0 or len(done.stdout) != length:
        raise UnreadableImage("formats.dicom_gdcm_damaged")
    return done.stdout, done.stderr.decode("ascii", "replace")
