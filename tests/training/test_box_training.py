"""The detection head learns the boxes of drawn fractures."""

from __future__ import annotations

import cv2
import keras
import numpy as np
import pytest

from utils.imaging.geometry import overlap_of_boxes
from utils.model.detection.candidates import decode_boxes
from utils.model.detection.targets import encode_boxes
from utils.model_builder import BOX, FINE, HEATMAP, build_model
from utils.training.losses import box_loss, heatmap_loss

SIZE, CELLS, COUNT = 64, 16, 40


def draw_gaps(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a bone with two gaps, one or none in turn, float32 (SIZE, SIZE), and the gaps' boxes."""
    random = np.random.default_rng(seed)
    picture = np.full((SIZE, SIZE), 0.1, np.float32)
    left, width = int(random.integers(8, 36)), int(random.integers(10, 20))
    picture[:, left : left + width] = 0.8
    boxes = []
    for number in range(seed % 3):
        top, height = int(random.integers(6, 20)) + 30 * number, int(random.integers(4, 10))
        picture[top : top + height, left : left + width] = 0.2
        boxes.append((left, top, width, height))
    picture = cv2.GaussianBlur(picture, (0, 0), 1.0)
    picture += random.normal(0, 0.02, picture.shape).astype(np.float32)
    return picture, np.array(boxes, np.float32).reshape(-1, 4)


@pytest.mark.slow
def test_a_small_network_learns_drawn_gaps() -> None:
    keras.utils.set_random_seed(0)
    pictures, boxes = zip(*map(draw_gaps, range(COUNT)), strict=True)
    inputs = np.repeat(np.stack(pictures)[..., None], 3, axis=-1)
    heatmaps, regressed = zip(*(encode_boxes(one, CELLS, SIZE) for one in boxes), strict=True)
    network = build_model("custom", SIZE, detail=FINE, boxes=True, dropout=0.0)
    trained = keras.Model(
        network.inputs[0], {name: network.output[name] for name in (HEATMAP, BOX)}
    )
    trained.compile(keras.optimizers.Adam(3e-3), {HEATMAP: heatmap_loss, BOX: box_loss})
    targets = {HEATMAP: np.stack(heatmaps), BOX: np.stack(regressed)}
    trained.fit(inputs, targets, batch_size=8, epochs=25, verbose=0)
    outputs = trained.predict(inputs, verbose=0)
    overlaps, alarms = [], []
    for number, marked in enumerate(boxes):
        found = decode_boxes(outputs[HEATMAP][number, ..., 0], outputs[BOX][number], SIZE)
        confident = found.boxes[found.logits > 0]
        alarms.append(max(len(confident) - len(marked), 0))
        if len(marked):
            best = overlap_of_boxes(marked, found.boxes[: len(marked)]).max(axis=1)
            overlaps.extend(best)
    assert np.mean(np.array(overlaps) > 0.5) > 0.9
    assert np.mean(alarms) < 0.2
