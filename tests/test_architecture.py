"""What a light start must not load, how long a module may be, and who may name TensorFlow.

The floors of the house are contracts of import-linter in pyproject.toml, which `make lint` checks.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ("app", "train", "evaluate", "predict")
HEAVY = {
    *("tensorflow", "keras", "jax", "torch", "openvino"),
    *("pydicom", "matplotlib", "sklearn", "tensorboard"),
}
# Rooms that import nothing heavy at their top.
LIGHT = (
    *("utils.cli", "utils.files", "utils.imaging.overlay", "utils.formats", "utils.preprocess"),
    *("utils.datasets.readers", "utils.datasets.training_set", "utils.model.architectures"),
    *("utils.model.ood", "utils.evaluation.metrics", "utils.evaluation.predictive_values"),
)
# The reference engine, and a kernel that training uses where Keras runs on TensorFlow.
TENSORFLOW_HOMES = {"inference/tensorflow_engine.py", "training/fused_batch_norm.py"}
LONGEST_MODULE = 350


def _modules() -> dict[str, str]:
    utils = ROOT / "utils"
    return {str(p.relative_to(utils)): p.read_text() for p in sorted(utils.rglob("*.py"))}


def test_tensorflow_is_named_in_its_homes_only():
    importing = re.compile(r"^\s*(import|from) tensorflow|import_module\(.tensorflow", re.MULTILINE)
    users = {name for name, text in _modules().items() if importing.search(text)}
    assert users == TENSORFLOW_HOMES


def test_no_module_is_too_long():
    lines = {name: text.count("\n") for name, text in _modules().items()}
    assert {name: n for name, n in lines.items() if n > LONGEST_MODULE} == {}


def test_no_room_is_crowded():
    rooms = [folder for folder in (ROOT / "utils").rglob("*") if folder.is_dir()]
    entries = {r.name: [p for p in r.iterdir() if p.name != "__pycache__"] for r in rooms}
    entries.pop("__pycache__", None)
    assert {name: len(found) for name, found in entries.items() if len(found) > 18} == {}


def _packages_loaded_by(*arguments: str) -> set[str]:
    """Run Python and return the top-level packages that it reports as imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {row.rsplit("|", 1)[1].strip().split(".")[0] for row in rows}


def test_the_measure_of_a_light_start_sees_a_heavy_package():
    assert "pydicom" in _packages_loaded_by("-c", "import pydicom")


@pytest.mark.parametrize("module", [*SCRIPTS, "config"])
def test_importing_a_program_loads_nothing_heavy(module):
    assert _packages_loaded_by("-c", f"import {module}") & HEAVY == set()


@pytest.mark.parametrize("script", SCRIPTS)
def test_asking_for_help_loads_nothing_heavy(script):
    loaded = _packages_loaded_by(f"{script}.py", "--help")
    assert "argparse" in loaded
    assert loaded & HEAVY == set()


def test_reading_and_measuring_load_nothing_heavy_on_import():
    modules = ", ".join(LIGHT)
    assert _packages_loaded_by("-c", f"import {modules}") & HEAVY == set()
