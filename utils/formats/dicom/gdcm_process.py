"""Decoder process: a JPEG frame on its standard input, samples on its output, by gdcm.

gdcm ends the whole process over some damaged frames (a C++ exception that nobody catches), and an
upload must not end a server. ``utils.formats.dicom.gdcm_codec`` starts this file by its path, so nothing
of ours is imported.
"""

from __future__ import annotations

import json
import sys

MEMORY_BYTES = 4 * 2**30
NO_GDCM = 3


def unpack(settings: dict[str, int | str], frame: bytes) -> bytes:
    """Decode one grey JPEG frame.

    Args:
        settings: transfer_syntax (UID), rows, columns, allocated and stored (bits), signed (0 or 1).
        frame: the JPEG.

    Returns:
        The samples, row by row, each in ``allocated`` bits of the machine's byte order.
    """
    import gdcm

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((settings["columns"], settings["rows"], 1))
    image.SetDataElement(element)
    grey = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(grey))
    syntax = gdcm.TransferSyntax.GetTSType(settings["transfer_syntax"])
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    stored, allocated = settings["stored"], settings["allocated"]
    image.SetPixelFormat(
        gdcm.PixelFormat(1, allocated, stored, int(stored) - 1, settings["signed"])
    )
    # gdcm returns char* as str.
    samples: bytes = image.GetBuffer().encode("utf-8", "surrogateescape")
    return samples


def main() -> int:
    """Decode what comes on standard input: the settings as a line of JSON, then the frame."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        import gdcm  # noqa: F401
    except ImportError:
        return NO_GDCM
    settings = json.loads(sys.stdin.buffer.readline())
    sys.stdout.buffer.write(unpack(settings, sys.stdin.buffer.read()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
