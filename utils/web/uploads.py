"""File parts of a request: in memory, or spooled to files that have no name.

Many slow clients with large files would fill the memory. A file without an entry in any folder is freed by
the system whatever happens to the process. Nothing is ever named after what a client sends.
"""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import IO

from flask import Request, current_app
from werkzeug.datastructures import FileStorage

from utils.errors import InputError, SetupError
from utils.web.middleware.forms import FIELD, NoBoundary, TolerantFormParser

IN_MEMORY = 2**20
SPOOL_PREFIX = "spool-"
# Transfer encodings of a part that leave its bytes as they are (RFC 2045, 6.2).
PLAIN_ENCODINGS = ("", "7bit", "8bit", "binary")
# What a refusal quotes of a request's headers.
QUOTED = 40
# Linux alone has it.
UNNAMED: int | None = getattr(os, "O_TMPFILE", None)


class NoFile(InputError):
    """A request without a file, or with an empty choice."""

    code = "no_file"


class SeveralFiles(InputError):
    """A request with more than one file."""

    code = "several_files"


class BadForm(InputError):
    """The multipart body is damaged, ends early or has no boundary."""

    code = "bad_form"


class UnsupportedCoding(InputError):
    """The body or its file part is compressed or coded as text."""

    code = "unsupported_coding"


def unnamed_file(folder: Path) -> IO[bytes]:
    """Open a file without a name in ``folder``, for reading and writing.

    ``tempfile.TemporaryFile`` does nearly the same, but fails where ``prepare_folder`` of a worker that
    starts removes the name in the instant that it exists.

    Raises:
        SetupError: the folder is missing, full or cannot be written.
    """
    try:
        if UNNAMED is not None:
            # With O_EXCL nothing can give the file a name later either.
            try:
                return os.fdopen(os.open(folder, UNNAMED | os.O_EXCL | os.O_RDWR, 0o600), "w+b")
            except OSError:
                pass  # NFS and some overlays have no such files; a missing folder fails again below.
        descriptor, name = tempfile.mkstemp(prefix=SPOOL_PREFIX, dir=folder)
        Path(name).unlink(missing_ok=True)
        return os.fdopen(descriptor, "w+b")
    except OSError as error:
        raise SetupError("web.spool_unusable", reason=error.strerror) from error


def prepare_folder(folder: Path) -> None:
    """Create the spool folder, remove what a killed process may have left, and try it once.

    Only this module's own files are removed, and those at any time: a file in use needs no name.

    Raises:
        SetupError: the folder cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(f"{SPOOL_PREFIX}*"):
            leftover.unlink(missing_ok=True)
    except OSError as error:
        raise SetupError(
            "web.upload_folder_unusable", folder=folder, reason=error.strerror
        ) from error
    try:
        unnamed_file(folder).close()
    except SetupError as error:
        raise SetupError("web.upload_folder_read_only", folder=folder) from error


class SpoolingRequest(Request):
    """A request whose file parts go to the upload folder, not to the system's temporary folder."""

    form_data_parser_class = TolerantFormParser

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        if total_content_length is not None and total_content_length <= IN_MEMORY:
            return io.BytesIO()
        return unnamed_file(current_app.config["UPLOAD_FOLDER"])


def parse_form(request: Request) -> None:
    """Read the request's body as a form.

    Raises:
        UnsupportedCoding: the body is compressed.
        NoFile: it is no form that can hold a file.
        BadForm: it is one, but damaged, cut short or without a boundary.
    """
    coding = request.headers.get("Content-Encoding", "").strip().lower()
    if coding not in ("", "identity"):
        raise UnsupportedCoding("web.coded_body", coding=coding[:QUOTED])
    if request.mimetype != "multipart/form-data":
        found = request.mimetype[:QUOTED] or "of no declared type"
        raise NoFile("web.no_form", found=found, field=FIELD)
    try:
        request.form  # noqa: B018 - parses the body
    except NoBoundary as error:
        raise BadForm("web.no_boundary", field=FIELD) from error
    except ValueError as error:
        raise BadForm("web.damaged_form") from error


def uploaded_file(request: Request) -> FileStorage:
    """Return the one file of a parsed form; its bytes are still where they were spooled to.

    Raises:
        NoFile: there is none, none was chosen, or only its name came.
        SeveralFiles: there is more than one.
        UnsupportedCoding: it is coded as text.
    """
    parts: list[FileStorage] = [part for _, part in request.files.items(multi=True)]
    if len(parts) > 1:
        raise SeveralFiles("web.several_files", number=len(parts))
    part = request.files.get(FIELD)
    if part is None:
        token = current_app.config["WTF_CSRF_FIELD_NAME"]
        names = [name or "?" for name in (*request.files, *request.form) if name != token]
        if names:
            raise NoFile("web.other_part", found=", ".join(names)[:QUOTED], field=FIELD)
        raise NoFile("web.no_file_part", field=FIELD)
    encoding = part.headers.get("Content-Transfer-Encoding", "").strip().lower()
    if encoding not in PLAIN_ENCODINGS:
        raise UnsupportedCoding("web.coded_part", coding=encoding[:QUOTED])
    if not part.filename:
        # No format begins with so much text; a form's text field does.
        start = part.stream.read(256)
        if not start:
            raise NoFile("web.no_file_chosen")
        if start.isascii() and start.decode().isprintable():
            raise NoFile("web.text_part", field=FIELD)
    part.stream.seek(0)
    return part
