"""Errors that a user or an operator can mend; anything else is a bug.

FractureError
|-- InputError     the caller can mend it     (4xx, exit 2)
|   |-- UnsupportedFormat  |-- UnreadableImage  |-- TooLarge  |-- NotARadiograph
|   |-- DatasetError       `-- UnknownName
`-- SetupError     the operator can mend it   (503, exit 3)
    |-- ModelMissing       |-- BundleError      `-- Overloaded

Each class has a short ``code``, the same in JSON, on a page and on the command line.
"""

from __future__ import annotations

from typing import Any

from utils.messages import sentence


class FractureError(Exception):
    """An error that a person can mend.

    Args:
        message_id: of the sentence in the catalogue: what is wrong, what was found, what to do.
        facts: values of the sentence's placeholders.
    """

    code = "error"

    def __init__(self, message_id: str, /, **facts: Any) -> None:
        super().__init__(message_id)
        self.message_id, self.facts = message_id, facts

    def __str__(self) -> str:
        return sentence(self.message_id, **self.facts)


class InputError(FractureError):
    """The caller gave something that cannot be used."""

    code = "bad_input"


class UnsupportedFormat(InputError):
    """The bytes are in no image format that is read here."""

    code = "unsupported_format"


class UnreadableImage(InputError):
    """The format is known, but this file is empty, damaged or ends early."""

    code = "unreadable_image"


class TooLarge(InputError):
    """The file or the image it declares is over a limit."""

    code = "too_large"


class NotARadiograph(InputError):
    """The file is readable, but holds no single plain radiograph."""

    code = "not_a_radiograph"


class DatasetError(InputError):
    """A folder of images is not laid out as its reader needs."""

    code = "dataset_error"


class UnknownName(InputError):
    """The name is in none of the tables."""

    code = "unknown_name"


class SetupError(FractureError):
    """The installation or its files cannot do what was requested."""

    code = "setup_error"


class ModelMissing(SetupError):
    """There is no model file at the configured path."""

    code = "model_missing"


class BundleError(SetupError):
    """The model file and its sidecar do not match, or are damaged."""

    code = "bundle_error"


class Overloaded(SetupError):
    """Too many requests are waiting already."""

    code = "overloaded"
