"""The golden example: a known input, and what a bundle's network answers to it.

The input is made by whole-number arithmetic, so it is the same everywhere and shows no patient.
"""

from __future__ import annotations

import numpy as np

from utils.errors import BundleError
from utils.gradcam import Outputs
from utils.model.sidecar import SelfTest

# Room for another backend's or processor's float32 arithmetic, far below any lost layer's effect.
ABSOLUTE, RELATIVE = 1e-3, 1e-2


def self_test_input(size: int) -> np.ndarray:
    """Return the known input, uint8 (1, size, size): rings from two sources, in whole numbers alone."""
    row, column = np.mgrid[0:size, 0:size].astype(np.int64) * 4096 // size
    near = (row - 1200) ** 2 + (column - 900) ** 2
    far = (row - 2900) ** 2 + (column - 3300) ** 2
    return (((near >> 13) ^ (far >> 14)) & 255).astype(np.uint8)[None]


def self_test_outputs(outputs: Outputs) -> dict[str, list[float]]:
    """Boil a forward pass of the known input down to a few numbers that depend on every weight."""
    numbers = {
        "logit": [float(outputs.logit[0])],
        "map": [float(outputs.map[0].max()), float(outputs.map[0].min())],
        "embedding": [float(outputs.embedding[0].mean())],
    }
    if outputs.region is not None:
        numbers["region"] = [float(value) for value in outputs.region[0]]
    return numbers


def self_test_section(outputs: Outputs) -> SelfTest:
    """Make the sidecar's ``self_test`` object from a forward pass of the known input."""
    numbers = self_test_outputs(outputs)
    tolerance = {
        name: ABSOLUTE + RELATIVE * float(np.max(np.abs(values)))
        for name, values in numbers.items()
    }
    return SelfTest(outputs=numbers, tolerance=tolerance)


def check_self_test(self_test: SelfTest, outputs: Outputs, *, room: float = 1.0) -> None:
    """Hold an engine's answer to the known input against the bundle's.

    Args:
        golden: the bundle's.
        outputs: the engine's answer.
        room: factor on the bundle's tolerance, for an engine that computes less precisely.

    Raises:
        BundleError: they differ by more than the tolerance.
    """
    found = self_test_outputs(outputs)
    if found.keys() != self_test.outputs.keys():
        raise BundleError(
            f"the golden example has {sorted(self_test.outputs)}, the network gives {sorted(found)}"
        )
    for name, expected in self_test.outputs.items():
        allowed = room * self_test.tolerance[name]
        # Shape and NaN fail too: only a difference that is known to be small passes.
        if len(found[name]) != len(expected) or not np.all(
            np.abs(np.subtract(found[name], expected)) <= allowed
        ):
            raise BundleError(
                f"the network answers the golden example with {name} {found[name]}, the bundle says "
                f"{expected} (tolerance {allowed}); this installation does not compute as it should"
            )
