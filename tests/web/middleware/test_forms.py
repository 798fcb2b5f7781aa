"""Multipart forms: file names in any encoding, text fields, limits."""

from __future__ import annotations

import base64
import gzip
import io
import struct
import zlib

import pytest

from tests.support.serving import PAGE, radiograph


def large_png() -> bytes:
    """A radiograph that is too large for memory alone: a comment chunk fills it up."""
    whole = radiograph()
    filling = b"Comment\0" + bytes(LARGE)
    chunk = struct.pack(">I", len(filling)) + b"tEXt" + filling
    chunk += struct.pack(">I", zlib.crc32(b"tEXt" + filling))
    return whole[:33] + chunk + whole[33:]


LARGE = 3 * 2**20


def post(client, headers: bytes, content: bytes, boundary: str = "; boundary=x"):
    """Post a form of one part with these headers."""
    body = b"--x\r\n" + headers + b"\r\n\r\n" + content + b"\r\n--x--\r\n"
    return client.post("/predict", data=body, content_type=f"multipart/form-data{boundary}")


@pytest.mark.parametrize(
    "headers",
    [
        b'Content-Disposition: form-data; name="file"',
        b"content-disposition: form-data; name=file",
        b'Content-Disposition: form-data; name="file"; filename=""',
        b"Content-Disposition: form-data; name*=UTF-8''file; filename*=UTF-8''r%C3%B6ntgen.png",
        b'Content-Disposition: form-data; name="file"\r\nContent-Transfer-Encoding: binary',
    ],
    ids=["no name", "unquoted", "empty name", "RFC 2231", "binary"],
)
def test_a_part_is_read_whatever_its_headers(client, headers):
    assert post(client, headers, radiograph()).status_code == 200


def test_a_large_file_needs_no_name(client):
    headers = b'Content-Disposition: form-data; name="file"'
    assert post(client, headers, large_png()).status_code == 200


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; charset=utf-8"])
def test_a_missing_boundary_is_named(client, boundary):
    headers = b'Content-Disposition: form-data; name="file"; filename="a.png"'
    answer = post(client, headers, radiograph(), boundary)
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "bad_form")
    assert answer.json["error"]["message"].startswith("no boundary")


@pytest.mark.parametrize("page", [False, True], ids=["script", "browser"])
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_a_compressed_body_is_415(client, coding, page):
    answer = client.post(
        "/predict",
        data=gzip.compress(b"--x--"),
        content_type="multipart/form-data; boundary=x",
        headers={"Content-Encoding": coding} | (PAGE if page else {}),
    )
    assert answer.status_code == 415
    assert f"compressed ({coding})" in answer.text
    assert "unsupported_coding" in answer.text


def test_an_identity_coding_changes_nothing(client):
    form = {"file": (io.BytesIO(radiograph()), "a.png")}
    answer = client.post("/predict", data=form, headers={"Content-Encoding": "identity"})
    assert answer.status_code == 200


@pytest.mark.parametrize("coding", ["base64", "quoted-printable"])
def test_a_part_coded_as_text_is_415(client, coding):
    headers = b'Content-Disposition: form-data; name="file"; filename="a"'
    headers += b"\r\nContent-Transfer-Encoding: " + coding.encode()
    answer = post(client, headers, base64.b64encode(radiograph()))
    assert (answer.status_code, answer.json["error"]["code"]) == (415, "unsupported_coding")
    assert coding in answer.json["error"]["message"]


@pytest.mark.parametrize("headers", [b"Content-Type: image/png", b"Content-Disposition: form-data"])
def test_a_part_without_any_name_is_400(client, headers):
    assert post(client, headers, radiograph()).status_code == 400


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
