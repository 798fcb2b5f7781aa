"""Light imports, the size of modules and rooms, and who may import TensorFlow or the tests.

The floors are contracts of import-linter in pyproject.toml, which `make lint` checks.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = (pytest.param("app", marks=pytest.mark.slow), "train", "evaluate", "predict")
BASE = ("cli", "errors", "files", "messages", "registry")
HEAVY = {
    *("tensorflow", "keras", "jax", "torch", "openvino"),
    *("pydicom", "matplotlib", "sklearn", "tensorboard"),
}
# Modules that import nothing heavy at their top.
LIGHT = (
    *("utils.cli", "utils.files", "utils.imaging.overlay", "utils.formats", "utils.preprocess"),
    *("utils.datasets.readers", "utils.datasets.training_set", "utils.model.architectures"),
    *("utils.model.ood", "utils.evaluation.metrics", "utils.evaluation.predictive_values"),
)
# The reference engine, and a kernel that training uses where Keras runs on TensorFlow.
TENSORFLOW_USERS = {"inference/engines/tensorflow_engine.py", "model/fused_batch_norm.py"}
LONGEST_MODULE = 300
ENTRIES_OF_A_ROOM = 12
MODULES_OF_NO_ROOM = 8


def _modules() -> dict[str, str]:
    utils = ROOT / "utils"
    return {str(p.relative_to(utils)): p.read_text() for p in sorted(utils.rglob("*.py"))}


def test_two_modules_alone_import_tensorflow():
    importing = re.compile(r"^\s*(import|from) tensorflow|import_module\(.tensorflow", re.MULTILINE)
    users = {name for name, text in _modules().items() if importing.search(text)}
    assert users == TENSORFLOW_USERS


def test_no_module_is_too_long():
    lines = {name: text.count("\n") for name, text in _modules().items()}
    assert {name: n for name, n in lines.items() if n > LONGEST_MODULE} == {}


def test_no_room_is_crowded():
    rooms = [p for p in (ROOT / "utils").rglob("*") if p.is_dir() and p.name != "__pycache__"]
    own = ("__pycache__", "__init__.py")
    entries = {r.name: [p for p in r.iterdir() if p.name not in own] for r in rooms}
    assert {n: len(e) for n, e in entries.items() if len(e) > ENTRIES_OF_A_ROOM} == {}


def test_few_modules_stand_outside_the_rooms():
    modules = [p for p in (ROOT / "utils").glob("*.py") if p.name != "__init__.py"]
    assert len(modules) <= MODULES_OF_NO_ROOM


def test_a_module_begins_by_what_it_is():
    first = {name: (ast.get_docstring(ast.parse(text)) or "") for name, text in _modules().items()}
    assert [name for name, text in first.items() if not text] == []
    stories = ("Turns ", "Tells ", "Says ", "What ", "Lets ", "From ")
    assert [name for name, text in first.items() if text.startswith(stories)] == []


def test_code_imports_no_tests_but_their_support():
    importing = re.compile(r"^\s*(?:from|import) ((?:tests|benchmarks)\S*)", re.MULTILINE)
    found = {
        (path.relative_to(ROOT).parts[0], name)
        for pattern in ("*.py", "utils/**/*.py", "benchmarks/**/*.py")
        for path in ROOT.glob(pattern)
        for name in importing.findall(path.read_text())
    }
    allowed = ("tests.support.", "benchmarks")
    assert [f for f in found if f[0] != "benchmarks" or not f[1].startswith(allowed)] == []
    assert ("benchmarks", "tests.support.pictures") in found


def _imported(text: str) -> set[str]:
    """Return the packages that a module imports anywhere but under ``if TYPE_CHECKING``."""
    found: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(text)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
        waiting.extend(ast.iter_child_nodes(node))
    return found


def test_the_base_needs_the_standard_library_only():
    for name in BASE:
        foreign = _imported(_modules()[f"{name}.py"]) - set(sys.stdlib_module_names) - {"utils"}
        assert foreign == set(), name


def test_only_root_scripts_import_the_settings():
    assert [name for name, text in _modules().items() if "config" in _imported(text)] == []
    assert "config" in _imported((ROOT / "app.py").read_text())


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


def test_a_heavy_package_is_noticed():
    assert "pydicom" in _packages_loaded_by("-c", "import pydicom")


@pytest.mark.parametrize("module", [*SCRIPTS, "config"])
def test_importing_a_program_loads_nothing_heavy(module):
    assert _packages_loaded_by("-c", f"import {module}") & HEAVY == set()


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_loads_nothing_heavy(script):
    loaded = _packages_loaded_by(f"{script}.py", "--help")
    assert "argparse" in loaded
    assert loaded & HEAVY == set()


def test_light_modules_load_nothing_heavy():
    modules = ", ".join(LIGHT)
    assert _packages_loaded_by("-c", f"import {modules}") & HEAVY == set()
