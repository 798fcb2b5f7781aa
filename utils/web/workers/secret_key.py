"""Secret key of the session cookie, one for all workers of an installation."""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from utils.errors import SetupError

FILE_NAME = "secret_key"
KEY_LENGTH = 64


def shared_key(folder: Path) -> str:
    """Return the folder's key, hexadecimal digits; the first process that calls this creates both.

    With a key for each worker, three form posts in four would fail under four workers.

    Raises:
        SetupError: the folder cannot be written, or the key file is damaged or readable by others.
    """
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _create(path)
        if path.stat().st_mode & 0o077:
            raise SetupError("web.secret_key_readable", path=path)
        key = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError("web.secret_key_unusable", folder=folder, reason=str(error)) from error
    if len(key) != KEY_LENGTH:
        raise SetupError("web.secret_key_damaged", path=path, digits=KEY_LENGTH)
    return key


def _create(path: Path) -> None:
    """Write a new key to ``path`` with mode 0600, unless another process was faster.

    The key is written to a temporary file and then linked: a link succeeds or finds the other process's
    key, so none reads half a key and none replaces one that is in use, as a rename would.
    """
    with tempfile.NamedTemporaryFile("w", prefix=f"{FILE_NAME}.", dir=path.parent) as draft:
        draft.write(secrets.token_hex(KEY_LENGTH // 2))
        draft.flush()
        os.fsync(draft.fileno())
        with suppress(FileExistsError):
            os.link(draft.name, path)
