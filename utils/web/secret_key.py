"""Turns a folder into one secret key that every worker of this installation shares."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from utils.errors import SetupError

FILE_NAME = "secret_key"
KEY_LENGTH = 64


def shared_key(folder: Path) -> str:
    """Return the folder's key, made at the first call of all processes.

    The key is written whole under a name of its own and then linked to the common name. A link either
    succeeds or finds the other worker's key, so no process ever reads half a key and none replaces one
    that is in use: with a key each, three form posts in four would fail under four workers.

    Args:
        folder: made if it is missing.

    Returns:
        64 hexadecimal digits.

    Raises:
        SetupError: the folder cannot be written, or the key file is damaged or open to others.
    """
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
        if path.stat().st_mode & 0o077:
            raise SetupError(f"others can read the secret key: run `chmod 600 {path}`")
        key = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise SetupError(
            f"no secret key can be kept in {folder} ({fault}); set FRACTURE_SECRET_KEY, or make the "
            "folder writable"
        ) from fault
    if len(key) != KEY_LENGTH:
        raise SetupError(
            f"{path} holds no key of {KEY_LENGTH} digits: delete it, a new one is made"
        )
    return key


def _make(path: Path) -> None:
    """Put a new key at ``path`` with mode 0600, unless another process was faster."""
    draft = path.with_name(f"{FILE_NAME}.{os.getpid()}.{secrets.token_hex(8)}.part")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(secrets.token_hex(KEY_LENGTH // 2))
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
    finally:
        draft.unlink()
