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
from utils.web.middleware.forms import TolerantFormParser

IN_MEMORY = 2**20
SPOOL_PREFIX = "spool-"
FIELD = "file"
# Linux alone has it.
UNNAMED: int | None = getattr(os, "O_TMPFILE", None)


class NoFile(InputError):
    """A request without a file, or with an empty choice."""

    code = "no_file"


class SeveralFiles(InputError):
    """A request with more than one file."""

    code = "several_files"


class BadForm(InputError):
    """The multipart body is damaged or ends early."""

    code = "bad_form"


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
        NoFile: the body is no form that can hold a file.
        BadForm: it is one, but damaged or cut short.
    """
    if request.mimetype != "multipart/form-data":
        raise NoFile("web.no_form", field=FIELD)
    try:
        request.form  # noqa: B018 - parses the body
    except ValueError as error:
        raise BadForm("web.damaged_form") from error


def uploaded_file(request: Request) -> FileStorage:
    """Return the one file of a parsed form; its bytes are still where they were spooled to.

    Raises:
        NoFile: there is none, or none was chosen.
        SeveralFiles: there is more than one.
    """
    parts: list[FileStorage] = [part for _, part in request.files.items(multi=True)]
    if len(parts) > 1:
        raise SeveralFiles("web.several_files", number=len(parts))
    part = request.files.get(FIELD)
    if part is None:
        raise NoFile("web.no_file_part", field=FIELD)
    if not part.filename and not part.stream.seek(0, os.SEEK_END):
        raise NoFile("web.no_file_chosen")
    part.stream.seek(0)
    return part
