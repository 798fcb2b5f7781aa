"""Turns a JPEG frame of a kind that only gdcm reads into samples, by a process of its own.

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


def decode(
    order: Mapping[str, int | str], frame: bytes, padded: bytes, length: int
) -> bytes | None:
    """Decode one grey JPEG frame.

    Args:
        order: what ``gdcm_process.unpack`` takes.
        frame: the JPEG.
        padded: the JPEG with bytes added at the end of its coded data.
        length: bytes that the samples must have.

    Returns:
        The samples, row by row; None where the added bytes change them, because some are missing.

    Raises:
        UnreadableImage: the frame is damaged or takes too long.
        SetupError: gdcm is not installed.
    """
    try:
        done = subprocess.run(
            # Without -P the modules beside the script would hide those of the standard library.
            [sys.executable, "-P", gdcm_process.__file__],
            input=json.dumps({**order, "length": len(frame)}).encode() + b"\n" + frame + padded,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnreadableImage(
            f"the DICOM file's compressed pixels took over {SECONDS} seconds to unpack"
        ) from error
    if done.returncode == gdcm_process.NO_GDCM:
        raise SetupError("JPEG inside DICOM needs gdcm; install what requirements.txt names")
    if done.returncode == gdcm_process.CUT_SHORT:
        return None
    if done.returncode != 0 or len(done.stdout) != length:
        raise UnreadableImage("the DICOM file's compressed pixels are damaged")
    return done.stdout
