"""Export of a bundle's OpenVINO graph, as a process of its own.

    python -m utils.inference.engines.graph_export MODEL SHA256 FOLDER

``graph_cache`` starts it, so that a serving process never imports TensorFlow. The last line on stderr is the
error; the exit code tells a fault of the bundle from one of the installation.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from utils.errors import BundleError, FractureError, ModelMissing
from utils.gradcam import EMBEDDING, MAP
from utils.inference.engines.openvino_runtime import EngineUnavailable, import_openvino
from utils.inference.engines.tensorflow_engine import INPUT, frozen_graph
from utils.model.bundle import Bundle, read_bundle
from utils.model_builder import BOX, HEATMAP, LOGIT, REGION

# Part of the cache's key: a new version exports every graph again.
EXPORT_VERSION = 4
GRAPH, WEIGHTS = "graph.xml", "graph.bin"
DONE, SETUP_FAULT, BUNDLE_FAULT = 0, 3, 4
_NAMES = {INPUT, LOGIT, MAP, EMBEDDING, REGION, HEATMAP, BOX}


def export(bundle: Bundle, folder: Path) -> None:
    """Write a bundle's explained network as ``graph.xml`` and ``graph.bin``.

    Args:
        bundle: a checked bundle.
        folder: an existing one that no other process uses.

    Raises:
        BundleError: the weights do not fit the architecture.
        EngineUnavailable: OpenVINO does not take the graph.
    """
    frozen = folder / "frozen.pb"
    frozen.write_bytes(frozen_graph(bundle))
    openvino = import_openvino()
    try:
        model = openvino.Core().read_model(frozen)
        for port in (*model.inputs, *model.outputs):
            # TensorFlow adds "logit:0" and names of its own to the layer's name.
            names = {name.removesuffix(":0") for name in port.get_names()} & _NAMES
            port.get_tensor().set_names(names)
        # float32 weights: the precision is chosen when the graph is compiled.
        openvino.save_model(model, folder / GRAPH, compress_to_fp16=False)
    except RuntimeError as fault:
        raise EngineUnavailable("inference.unsupported_network", reason=fault) from fault
    frozen.unlink()


def main(arguments: Sequence[str]) -> int:
    """Export one bundle and return the exit code."""
    model, sha256, folder = arguments
    # The reference is float32 on the processor, whatever else this machine has.
    os.environ |= {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
    try:
        bundle = read_bundle(Path(model))
        if bundle.sha256 != sha256:
            raise BundleError("inference.bundle_replaced", file=bundle.path.name)
        export(bundle, Path(folder))
    except FractureError as fault:
        sys.stderr.write(f"{' '.join(str(fault).split())}\n")
        return BUNDLE_FAULT if isinstance(fault, BundleError | ModelMissing) else SETUP_FAULT
    return DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
