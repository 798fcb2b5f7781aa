"""Graph export: the graph that it writes, and the child's exit code."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tests.support.processes import ROOT
from utils.inference.engines.graph_export import BUNDLE_FAULT, GRAPH, WEIGHTS, export
from utils.inference.engines.openvino_runtime import import_openvino
from utils.model.bundle import read_bundle

pytestmark = pytest.mark.slow


def test_a_graph_has_float32_weights_and_byte_input(model, tmp_path):
    export(read_bundle(model), tmp_path)
    graph = import_openvino().Core().read_model(tmp_path / GRAPH)
    assert [port.get_any_name() for port in graph.inputs] == ["fitted"]
    assert graph.inputs[0].get_element_type().to_dtype() == np.uint8
    names = {port.get_any_name() for port in graph.outputs}
    assert names == {"logit", "map", "embedding", "region"}
    constants = [node for node in graph.get_ops() if node.get_type_name() == "Constant"]
    kinds = {node.get_element_type().get_type_name() for node in constants}
    assert "f32" in kinds
    assert kinds & {"f16", "bf16"} == set()
    assert (tmp_path / WEIGHTS).stat().st_size > 1000


def test_a_bundle_replaced_meanwhile_is_refused(model, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "utils.inference.engines.graph_export",
            str(model),
            "0" * 64,
            str(tmp_path),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == BUNDLE_FAULT
    assert "was replaced" in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
