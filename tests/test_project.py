"""The checkout as a whole: what CI runs, and that no patient's image is in it."""

from __future__ import annotations

import os
import subprocess

from tests.support.processes import ROOT

# Made on this machine, or the user's own.
NOT_OURS = {"data", "runs", "reports", "uploads", "instance", "__pycache__"}


def test_no_real_image_was_copied_into_the_project(shared_data):
    ours: set[str] = set()
    for _, folders, files in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in NOT_OURS and (f == ".ci" or f[0] != ".")]
        ours.update(files)
    theirs = {path.name for path in (shared_data / "fracatlas" / "images").rglob("*.jpg")}
    assert len(theirs) > 1000
    assert ours & theirs == set()


def test_ci_ends_with_the_readmes_test_command():
    script = (ROOT / ".ci" / "run").read_text()
    assert "make lint types" in script
    assert script.rstrip().endswith("export CI=true\nmake test")
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=True)
