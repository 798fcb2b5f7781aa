"""Self-test of an installation: a known input and the network's expected outputs.

The input is made by whole-number arithmetic, so it is the same everywhere and shows no patient.
"""

from __future__ import annotations

import numpy as np

from utils.errors import BundleError
from utils.gradcam import Outputs
from utils.model.sidecar import SelfTest

# Tolerance for another backend's or processor's float32 arithmetic, far below the effect of a lost layer.
ABSOLUTE, RELATIVE = 1e-3, 1e-2


def self_test_input(size: int) -> np.ndarray:
    """Return the known input, uint8 (1, size, size): rings from two sources, in whole numbers alone."""
    row, column = np.mgrid[0:size, 0:size].astype(np.int64) * 4096 // size
    near = (row - 1200) ** 2 + (column - 900) ** 2
    far = (row - 2900) ** 2 + (column - 3300) ** 2
    return (((near >> 13) ^ (far >> 14)) & 255).astype(np.uint8)[None]


def self_test_outputs(outputs: Outputs) -> dict[str, list[float]]:
    """Reduce a forward pass of the known input to a few numbers that depend on every weight."""
    numbers = {
        "logit": [float(outputs.logit[0])],
        "map": [float(outputs.map[0].max()), float(outputs.map[0].min())],
        "embedding": [float(outputs.embedding[0].mean())],
    }
    if outputs.region is not None:
        numbers["region"] = [float(value) for value in outputs.region[0]]
    if outputs.heatmap is not None and outputs.box is not None:
        numbers["heatmap"] = [float(outputs.heatmap[0].max()), float(outputs.heatmap[0].min())]
        numbers["box"] = [float(value) for value in outputs.box[0].mean(axis=(0, 1))]
    return numbers


def self_test_section(outputs: Outputs) -> SelfTest:
    """Make the sidecar's ``self_test`` object from a forward pass of the known input."""
    numbers = self_test_outputs(outputs)
    tolerance = {
        name: ABSOLUTE + RELATIVE * float(np.max(np.abs(values)))
        for name, values in numbers.items()
    }
    return SelfTest(outputs=numbers, tolerance=tolerance)


def check_self_test(self_test: SelfTest, outputs: Outputs, *, factor: float = 1.0) -> None:
    """Compare an engine's outputs for the known input with the bundle's.

    ``factor`` multiplies the bundle's tolerance, for an engine that computes less precisely.

    Raises:
        BundleError: they differ by more than the tolerance.
    """
    found = self_test_outputs(outputs)
    if found.keys() != self_test.outputs.keys():
        raise BundleError(
            "model.self_test_outputs", expected=sorted(self_test.outputs), found=sorted(found)
        )
    for name, expected in self_test.outputs.items():
        tolerance = factor * self_test.tolerance[name]
        # Shape and NaN fail too: only a difference that is known to be small passes.
        if len(found[name]) != len(expected) or not np.all(
            np.abs(np.subtract(found[name], expected)) <= tolerance
        ):
            raise BundleError(
                "model.self_test_failed",
                output=name,
                found=found[name],
                expected=expected,
                tolerance=tolerance,
            )
