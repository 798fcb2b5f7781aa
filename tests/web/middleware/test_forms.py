"""Multipart forms: file names in any encoding, text fields, limits."""

from __future__ import annotations

import io
import struct
import zlib

import pytest

from tests.support.serving import radiograph


def large_png() -> bytes:
    """A radiograph that is too large for memory alone: a comment chunk fills it up."""
    whole = radiograph()
    filling = b"Comment\0" + bytes(LARGE)
    chunk = struct.pack(">I", len(filling)) + b"tEXt" + filling
    chunk += struct.pack(">I", zlib.crc32(b"tEXt" + filling))
    return whole[:33] + chunk + whole[33:]


LARGE = 3 * 2**20


def test_a_zero_byte_in_the_name_changes_nothing(client):
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a\0.png"\r\n\r\n'
        + radiograph()
        + b"\r\n--x--\r\n"
    )
    answer = client.post("/predict", data=body, content_type="multipart/form-data; boundary=x")
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        (b"r\xf6ntgen.png", radiograph, 200),
        (b"r\xf6ntgen.png", lambda: b"no picture", 415),
        (b"\xff\xfe.png", large_png, 200),
    ],
    ids=["read", "refused", "spooled"],
)
def test_a_name_that_is_no_utf_8_changes_nothing(client, name, content, status):
    def answer(name: bytes) -> dict[str, object]:
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n' % name
        given = client.post(
            "/predict",
            data=head + content() + b"\r\n--x--\r\n",
            content_type="multipart/form-data; boundary=x",
        )
        assert given.status_code == status
        return {key: value for key, value in given.json.items() if key != "timing_ms"}

    assert answer(name) == answer(b"image.png")


def test_text_fields_are_no_file(client):
    form = {"note": "röntgen" * 1000, "file": (io.BytesIO(radiograph()), "a.png"), "last": ""}
    assert client.post("/predict", data=form).status_code == 200
    text = {"file": "text, no file"}
    refused = client.post("/predict", data=text, content_type="multipart/form-data")
    assert (refused.status_code, refused.json["error"]["code"]) == (400, "no_file")


def test_a_form_of_many_parts_is_refused(client):
    form = {f"note{number}": "x" for number in range(20)}
    answer = client.post("/predict", data=form, content_type="multipart/form-data")
    assert answer.status_code == 413


def test_a_long_text_field_is_refused(client):
    form = {"note": "x" * 400_000, "file": (io.BytesIO(radiograph()), "a.png")}
    assert client.post("/predict", data=form).status_code == 413
