"""The floors of the house, read from the import statements, and what a light start must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ("app", "train", "evaluate", "predict")

# The longest matching prefix decides. A new module needs a place here, or the first test fails.
FLOORS = {
    "utils": 0,
    "utils.errors": 0,
    "utils.registry": 0,
    "utils.command_line": 0,
    "utils.cores": 0,
    "utils.formats": 1,
    "utils.preprocess": 1,
    "utils.architectures": 1,
    "utils.datasets": 1,
    "utils.bootstrap": 1,
    "utils.curves": 1,
    "utils.schedule": 1,
    "utils.metrics": 1,
    "utils.predictive_values": 1,
    "utils.calibration": 1,
    "utils.overlay": 1,
    "utils.familiarity": 1,
    "utils.certainty": 1,
    "utils.strangers": 1,
    "utils.augmentation": 2,
    "utils.location": 2,
    "utils.batches": 2,
    "utils.corpus": 2,
    "utils.plan": 2,
    "utils.model_builder": 2,
    "utils.gradcam": 2,
    "utils.pipeline": 2,
    "utils.pointing": 2,
    "utils.seen": 2,
    "utils.bundle": 2,
    "utils.sidecar": 2,
    "utils.golden": 2,
    "utils.openvino_runtime": 2,
    "utils.tensorflow_engine": 3,
    "utils.export": 3,
    "utils.graph_cache": 3,
    "utils.openvino_engine": 3,
    "utils.engine": 3,
    "utils.inference": 3,
    "utils.trainer": 3,
    "utils.validation": 2,
    "utils.steps": 2,
    "utils.run_folder": 2,
    "utils.ancestry": 2,
    "utils.teacher": 2,
    "utils.fused_norm": 2,
    "utils.view": 1,
    "utils.training": 3,
    "utils.breakdown": 3,
    "utils.local_decision": 3,
    "utils.scoring": 3,
    "utils.out_of_distribution": 3,
    "utils.report": 3,
    "utils.evaluation": 3,
    "utils.predictions": 3,
    "utils.web": 4,
}
# The modules that speak to TensorFlow itself: the reference engine, and a kernel that training uses where
# Keras runs on TensorFlow. Everything else is Keras 3 alone.
TENSORFLOW_HOMES = {"utils.tensorflow_engine", "utils.fused_norm"}
WEB_FRAMEWORK = {"flask", "flask_wtf", "werkzeug", "wtforms", "gunicorn"}
# How the root scripts end, shared by them: the only module that may speak to a person.
SPEAKS = "utils.command_line"
HEAVY = {
    *("tensorflow", "keras", "jax", "torch", "openvino"),
    *("pydicom", "matplotlib", "sklearn", "tensorboard"),
}


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {_name(path): path for path in sorted((ROOT / "utils").rglob("*.py"))}
PROGRAMS = {name: ROOT / f"{name}.py" for name in (*SCRIPTS, "config", "gunicorn.conf")}


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _imports(path: Path) -> set[str]:
    """Return every module a file imports, at the top or inside a function, by its dotted name."""
    found: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno} imports relatively"
            module = node.module or ""
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                found.add(inner if inner in MODULES else module)
    return found


def _packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in _imports(path)}


def _floor(module: str) -> int | None:
    parts = module.split(".")
    for length in range(len(parts), 1, -1):
        prefix = ".".join(parts[:length])
        if prefix in FLOORS:
            return FLOORS[prefix]
    return FLOORS["utils"] if module == "utils" else None


def _on_floors(*floors: int) -> list[str]:
    return [module for module in MODULES if _floor(module) in floors]


def _reached_from(start: Path) -> set[str]:
    """Return the modules of utils that a file imports, directly or through others."""
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        for name in _imports(waiting.pop()):
            if name in MODULES and name not in reached:
                reached.add(name)
                waiting.append(MODULES[name])
    return reached


def test_every_module_has_a_floor():
    assert [module for module in MODULES if _floor(module) is None] == []


def test_a_module_imports_its_own_floor_or_a_lower_one():
    upward = [
        f"{module} (floor {_floor(module)}) imports {name} (floor {_floor(name)})"
        for module, path in MODULES.items()
        for name in sorted(_imports(path))
        if name in MODULES and (_floor(name) or 0) > (_floor(module) or 0)
    ]
    assert upward == []


def test_no_modules_import_each_other_in_a_circle():
    circles = [module for module, path in MODULES.items() if module in _reached_from(path)]
    assert circles == []


def test_the_ground_floor_needs_the_standard_library_only():
    for module in _on_floors(0):
        foreign = _packages(MODULES[module]) - set(sys.stdlib_module_names) - {"utils"}
        assert foreign == set(), module


def test_reading_and_measuring_know_no_keras():
    users = [m for m in _on_floors(0, 1) if _packages(MODULES[m]) & {"keras", "tensorflow"}]
    assert users == []


def test_only_the_web_floor_knows_the_web_framework():
    users = [m for m in _on_floors(0, 1, 2, 3) if _packages(MODULES[m]) & WEB_FRAMEWORK]
    assert users == []


def test_only_root_scripts_import_the_settings():
    assert [module for module, path in MODULES.items() if "config" in _packages(path)] == []
    assert "config" in _packages(PROGRAMS["app"])


def test_tensorflow_itself_is_named_in_its_homes_only():
    users = {m for m, path in MODULES.items() if "tensorflow" in _packages(path)}
    assert users <= TENSORFLOW_HOMES


def test_training_reaches_no_module_that_imports_tensorflow_at_its_top():
    for module in _reached_from(PROGRAMS["train"]):
        top: set[str] = set()
        for node in _tree(MODULES[module]).body:
            if isinstance(node, ast.Import):
                top.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                top.add(node.module.split(".")[0])
        assert not top & {"tensorflow", "pydicom"}, module


def test_the_library_never_prints():
    printing = [
        f"{module}:{node.lineno}"
        for module, path in MODULES.items()
        for node in ast.walk(_tree(path))
        if module != SPEAKS
        and isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"print", "pprint"}
    ]
    assert printing == []


def test_no_module_is_longer_than_a_reader_can_hold():
    longest = {m: len(path.read_text().splitlines()) for m, path in MODULES.items()}
    assert {m: lines for m, lines in longest.items() if lines > 350} == {}


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
    modules = ", ".join(_on_floors(0, 1))
    assert _packages_loaded_by("-c", f"import {modules}") & HEAVY == set()
