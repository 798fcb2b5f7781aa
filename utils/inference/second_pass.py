"""Second forward pass over a picture that the first one doubts: its inverse, or the straightened film.

Usual radiographs never need one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from utils.gradcam import Outputs
from utils.imaging.perspective import find_film, rectify
from utils.imaging.radiograph import Radiograph
from utils.inference.engines.engine import Engine
from utils.inference.input_warnings import warning_codes
from utils.model.ood import INVERTED, PHOTOGRAPHED, UNSUPPORTED_REGION, OODDetector
from utils.preprocess import NetworkInput, invert, network_input


@dataclass(frozen=True, eq=False)
class Examined:
    """A picture as it is answered.

    Args:
        radiograph: the decoded file, or the film found in it.
        fitted: its network input.
        outputs: of the forward pass that counts.
        row: of the picture in it.
        codes: of the warnings about it.
    """

    radiograph: Radiograph
    fitted: NetworkInput
    outputs: Outputs
    row: int
    codes: tuple[str, ...]


def examine(
    engine: Engine,
    detector: OODDetector | None,
    radiograph: Radiograph,
    fitted: NetworkInput,
    outputs: Outputs,
    row: int,
) -> Examined:
    """Return a picture with the codes of its warnings, after a second forward pass where it needs one.

    - That a picture is inverted is only reported where its inverse is like the training radiographs: to
      advise it for a chest, say, would mislead.
    - In a photograph, a film whose four sides are found is turned upright and answered in its place.
    """
    bundle = engine.bundle
    facts = (fitted.crop, fitted.brightness)
    codes = warning_codes(bundle, detector, outputs, row, *facts)
    first = Examined(radiograph, fitted, outputs, row, codes)
    if detector is None:
        return first
    if INVERTED in codes:
        inverse = engine.run(invert(fitted.pixels, fitted.crop)[None])
        if UNSUPPORTED_REGION in detector.codes(inverse.embedding[0]):
            found = tuple(UNSUPPORTED_REGION if code == INVERTED else code for code in codes)
            return replace(first, codes=found)
    elif PHOTOGRAPHED in codes:
        corners = find_film(radiograph.pixels)
        if corners is not None:
            return _of_film(engine, detector, radiograph, corners)
    return first


def _of_film(
    engine: Engine, detector: OODDetector, radiograph: Radiograph, corners: np.ndarray
) -> Examined:
    """Return the film of a photograph, examined on its own."""
    film = replace(radiograph, pixels=rectify(radiograph.pixels, corners), size=None)
    fitted = network_input(film, engine.bundle.preprocess.image_size)
    outputs = engine.run(fitted.pixels[None])
    codes = warning_codes(engine.bundle, detector, outputs, 0, fitted.crop, fitted.brightness)
    return Examined(film, fitted, outputs, 0, tuple(dict.fromkeys((PHOTOGRAPHED, *codes))))
