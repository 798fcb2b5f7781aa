"""Turns a multipart body into fields and files, whatever encoding its file names are in.

Werkzeug takes a form whose part headers are no UTF-8 for damaged. Some senders write the name in Latin-1,
and the name is used for nothing here.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from itertools import chain
from typing import IO, TYPE_CHECKING

from werkzeug.datastructures import FileStorage, Headers, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser, MultiPartParser
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

if TYPE_CHECKING:
    Form = tuple[MultiDict[str, str], MultiDict[str, FileStorage]]


class TolerantDecoder(MultipartDecoder):
    """Werkzeug's decoder; what is no UTF-8 in a part's headers becomes U+FFFD."""

    def _parse_headers(self, data: bytes | bytearray) -> Headers:
        return super()._parse_headers(data.decode("utf-8", "replace").encode())


class TolerantParts(MultiPartParser):
    """Werkzeug's parser of parts with that decoder, which its own ``parse`` names itself."""

    def parse(self, stream: IO[bytes], boundary: bytes, content_length: int | None) -> Form:
        """Read the parts of a body.

        Raises:
            ValueError: the body is damaged or ends early.
            RequestEntityTooLarge: more parts or more text than allowed.
        """
        most = self.max_form_memory_size
        decoder = TolerantDecoder(boundary, most, max_parts=self.max_form_parts)
        fields: list[tuple[str, str]] = []
        files: list[tuple[str, FileStorage]] = []
        part: Field | File
        content: IO[bytes]
        for piece in chain(iter(lambda: stream.read(self.buffer_size), b""), (None,)):
            decoder.receive_data(piece)
            while not isinstance(event := decoder.next_event(), Epilogue | NeedData):
                if isinstance(event, File):
                    part, content = event, self.start_file_streaming(event, content_length)
                elif isinstance(event, Field):
                    part, content = event, io.BytesIO()
                elif isinstance(event, Data):
                    content.write(event.data)
                    text = isinstance(part, Field)
                    if text and most is not None and content.tell() > most:
                        raise RequestEntityTooLarge
                    if event.more_data:
                        continue
                    content.seek(0)
                    if text:
                        fields.append((part.name, content.read().decode("utf-8", "replace")))
                    else:
                        name = part.filename if isinstance(part, File) else None
                        found = FileStorage(content, name, part.name, headers=part.headers)
                        files.append((part.name, found))
        return self.cls(fields), self.cls(files)


class TolerantForms(FormDataParser):
    """Werkzeug's form parser; multipart forms alone, which is what the site takes."""

    def parse(
        self,
        stream: IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: Mapping[str, str] | None = None,
    ) -> tuple[IO[bytes], MultiDict[str, str], MultiDict[str, FileStorage]]:
        """Read a body.

        Raises:
            ValueError: it is damaged, ends early or has no boundary.
        """
        if mimetype != "multipart/form-data":
            return stream, self.cls(), self.cls()
        boundary = (options or {}).get("boundary", "").encode("ascii")
        if not boundary:
            raise ValueError("there is no boundary")
        parts = TolerantParts(
            self.stream_factory,
            max_form_memory_size=self.max_form_memory_size,
            cls=self.cls,
            max_form_parts=self.max_form_parts,
        )
        return stream, *parts.parse(stream, boundary, content_length)
