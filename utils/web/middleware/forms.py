"""Multipart form parser that accepts file names in any encoding, and files without one.

Werkzeug rejects a form whose part headers are no UTF-8, and its ``MultiPartParser`` accepts no other decoder.
Some senders write the name in Latin-1, some leave it out, and it is used for nothing here.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from itertools import chain
from typing import IO

from werkzeug.datastructures import FileStorage, Headers, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

BUFFER = 2**16
# Name of the part that holds the file.
FIELD = "file"


class NoBoundary(ValueError):
    """The Content-Type header of a multipart form has no boundary."""


class TolerantDecoder(MultipartDecoder):
    """Werkzeug's decoder; what is no UTF-8 in a part's headers becomes U+FFFD."""

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        return super()._parse_headers(data.decode("utf-8", "replace").encode())


class TolerantFormParser(FormDataParser):
    """Werkzeug's form parser with that decoder; multipart forms alone, which is what the site takes."""

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: Mapping[str, str] | None = None,
    ) -> tuple[IO[bytes], MultiDict[str, str], MultiDict[str, FileStorage]]:
        """Read the fields and files of a body.

        Raises:
            NoBoundary: the header does not say what separates the parts.
            ValueError: the body is damaged or ends early.
            RequestEntityTooLarge: it has more parts or more text than allowed.
        """
        if mimetype != "multipart/form-data":
            return stream, self.cls(), self.cls()
        boundary = (options or {}).get("boundary", "").encode("ascii")
        if not boundary:
            raise NoBoundary
        limit = self.max_form_memory_size
        decoder = TolerantDecoder(boundary, limit, max_parts=self.max_form_parts)
        fields: list[tuple[str, str]] = []
        files: list[tuple[str, FileStorage]] = []
        part: Field | File
        content: IO[bytes]
        for piece in chain(iter(lambda: stream.read(BUFFER), b""), (None,)):
            decoder.receive_data(piece)
            while not isinstance(event := decoder.next_event(), Epilogue | NeedData):
                if isinstance(event, Field) and event.name == FIELD:
                    event = File(name=FIELD, filename="", headers=event.headers)
                if isinstance(event, File):
                    part, content = event, self.stream_factory(content_length, None, None)
                elif isinstance(event, Field):
                    part, content = event, io.BytesIO()
                elif isinstance(event, Data):
                    content.write(event.data)
                    if isinstance(part, Field) and limit is not None and content.tell() > limit:
                        raise RequestEntityTooLarge
                    if event.more_data:
                        continue
                    content.seek(0)
                    if isinstance(part, Field):
                        fields.append((part.name, content.read().decode("utf-8", "replace")))
                    else:
                        file = FileStorage(content, part.filename, part.name, headers=part.headers)
                        files.append((part.name, file))
        return stream, self.cls(fields), self.cls(files)
