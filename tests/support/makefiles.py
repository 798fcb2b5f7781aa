"""Checkouts in which make runs against an interpreter that records its calls."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.support.processes import ROOT

LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-weights.lock")
OLD = (1_000_000_000, 1_000_000_000)


def recording_checkout(folder: Path) -> Path:
    """Fill a folder with the Makefile, the locks and an interpreter that writes its calls to a file."""
    (folder / ".venv" / "bin").mkdir(parents=True)
    for name in ("Makefile", *LOCKS):
        (folder / name).write_bytes((ROOT / name).read_bytes())
        os.utime(folder / name, OLD)
    python = folder / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\necho "$*" >> calls\n')
    python.chmod(0o755)
    return folder


def recorded_calls(folder: Path) -> list[str]:
    """Return the interpreter's calls since the last look."""
    calls = folder / "calls"
    rows = calls.read_text().splitlines() if calls.exists() else []
    calls.unlink(missing_ok=True)
    return rows


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make in a folder with further environment variables."""
    # A make that started these tests hands its own settings down in these.
    inherited = {"MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "ARGS"}
    kept = {name: value for name, value in os.environ.items() if name not in inherited}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
