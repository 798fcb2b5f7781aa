"""The map: equal to automatic differentiation, and adding up to the logit."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import spearmanr

from tests.support.pictures import draw_radiograph
from utils.formats import decode
from utils.gradcam import Outputs, explain, signed_map
from utils.inference.engine import load_engine
from utils.model.architectures import ARCHITECTURES
from utils.model.bundle import load_network, read_bundle
from utils.model_builder import COARSE, EVIDENCE, FINE, LOGIT, PYRAMID, build_model, map_offset
from utils.preprocess import SCALINGS, PreprocessSpec, fit, preprocess

MODEL = Path(__file__).resolve().parents[1] / "models" / "best_model.h5"


def gradcam_by_differentiation(network: keras.Model, inputs: np.ndarray) -> np.ndarray:
    """Grad-CAM as its paper writes it, with a gradient tape: float32 (n, h, w), not negative."""
    outputs = {"evidence": network.get_layer(EVIDENCE).output, "logit": network.output[LOGIT]}
    tapped = keras.Model(network.inputs[0], outputs)
    with tf.GradientTape() as tape:
        answers = tapped(tf.constant(inputs), training=False)
        logit = tf.reduce_sum(answers["logit"])
    slopes = tape.gradient(logit, answers["evidence"])
    weights = tf.reduce_mean(slopes, axis=(1, 2), keepdims=True)
    return tf.nn.relu(tf.reduce_sum(weights * answers["evidence"], axis=-1)).numpy()


def assert_map_is_gradcam(network: keras.Model, inputs: np.ndarray) -> None:
    """Hold the explained network to differentiation and to the sum of its parts."""
    outputs = Outputs.of(explain(network).predict_on_batch(inputs))
    expected = gradcam_by_differentiation(network, inputs)
    assert expected.max() > 0
    np.testing.assert_allclose(np.maximum(outputs.map, 0), expected, atol=1e-5 * expected.max())
    bias = float(np.asarray(network.get_layer(LOGIT).bias)[0])
    np.testing.assert_allclose(outputs.map.sum(axis=(1, 2)) + bias, outputs.logit, atol=1e-4)


@pytest.mark.parametrize("detail", [COARSE, FINE])
@pytest.mark.parametrize("architecture", ["custom", "mobilenetv2", "densenet121", "efficientnetb0"])
def test_the_map_is_gradcam_and_adds_up_to_the_logit(architecture: str, detail: str) -> None:
    keras.utils.set_random_seed(3)
    network = build_model(architecture, 64, regions=("hand", "leg"), detail=detail)
    logit = network.get_layer(LOGIT)
    kernel, bias = logit.get_weights()
    # Shifted, so that evidence for and against both occur whatever the seed.
    logit.set_weights([kernel + 0.1, bias + 0.7])
    spec = PreprocessSpec(64, "torch" if architecture == "densenet121" else "unit")
    inputs = np.stack([preprocess(draw_radiograph(seed=seed), spec) for seed in range(3)])
    assert spec.scaling in SCALINGS
    assert_map_is_gradcam(network, inputs)


def test_the_shipped_model_explains_itself_exactly() -> None:
    bundle = read_bundle(MODEL)
    inputs = np.stack(
        [preprocess(draw_radiograph(300, 200, seed=seed), bundle.preprocess) for seed in range(3)]
    )
    assert_map_is_gradcam(load_network(bundle), inputs)


@pytest.mark.parametrize(
    ("architecture", "detail"),
    [
        *((name, COARSE) for name in ARCHITECTURES),
        *((name, FINE) for name in ("custom", "resnet50", "densenet121", "mobilenetv2")),
    ],
)
def test_a_cell_looks_where_its_architecture_says(architecture: str, detail: str) -> None:
    """The middle of what the derivative of a cell weighs, against the middle of the cell's own share.

    Of the fine map, of what comes from the finest of its three: how much the others add, weights decide.
    """
    size, middles = 320, []
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        network = build_model(architecture, size, detail=detail)
        for name in ("last", "finer") if detail == FINE else ():
            layer = network.get_layer(f"{PYRAMID}_{name}")
            layer.set_weights([np.zeros_like(array) for array in layer.get_weights()])
        tapped = keras.Model(network.inputs[0], network.get_layer(EVIDENCE).output)
        cells, channels = tapped.output.shape[1], tapped.output.shape[3]
        random = np.random.default_rng(seed)
        inputs = tf.constant(random.normal(size=(1, size, size, 3)).astype(np.float32))
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            cell = tapped(inputs, training=False)[0, cells // 2, cells // 2]
            mixed = tf.reduce_sum(cell * random.normal(size=channels).astype(np.float32))
        weight = np.square(tape.gradient(mixed, inputs).numpy()[0]).sum(axis=-1)
        places = np.arange(size) + 0.5
        own = (cells // 2 + 0.5) * size / cells
        middles += [(weight.sum(axis=axis) @ places) / weight.sum() - own for axis in (0, 1)]
    assert np.mean(middles) == pytest.approx(map_offset(architecture, detail), abs=3)


def test_the_map_that_is_trained_is_the_map_that_is_shown() -> None:
    network = build_model("custom", 64, detail=FINE)
    inputs = np.random.default_rng(0).random((2, 64, 64, 3)).astype(np.float32)
    trained = keras.Model(network.inputs[0], signed_map(network))
    shown = explain(network).predict_on_batch(inputs)["map"]
    np.testing.assert_allclose(np.asarray(trained(inputs)), shown, atol=1e-6)


def test_regions_are_probabilities() -> None:
    outputs = Outputs.of(
        explain(build_model("custom", 32, regions=("a", "b", "c"))).predict_on_batch(
            np.ones((2, 32, 32, 3), np.float32)
        )
    )
    assert outputs.region is not None
    np.testing.assert_allclose(outputs.region.sum(axis=1), 1, rtol=1e-6)


def test_a_network_without_regions_gives_none() -> None:
    outputs = Outputs.of(
        explain(build_model("custom", 32)).predict_on_batch(np.ones((2, 32, 32, 3), np.float32))
    )
    assert outputs.region is None
    assert outputs.embedding.shape == (2, 128 + 64)


@pytest.mark.real_data
def test_the_shipped_models_map_of_a_confident_normal_stays_cool(shared_data: Path) -> None:
    """On the absolute scale, whose top is where nine in ten maps of fractures stay under it."""
    engine = load_engine(MODEL, "tensorflow")
    bundle = engine.bundle

    def answers(folder: str, step: int) -> tuple[np.ndarray, np.ndarray]:
        files = sorted((shared_data / "fracatlas" / "images" / folder).glob("*.jpg"))[::step]
        fitted = [
            fit(
                decode(file.read_bytes(), allow_truncated=True).pixels, bundle.preprocess.image_size
            )
            for file in files
        ]
        outputs = engine.run(np.stack(fitted))
        heat = outputs.map.max(axis=(1, 2)) / bundle.scale_top
        return bundle.calibration.probability(outputs.logit), heat

    probability, heat = answers("Non_fractured", 40)
    confident = heat[probability < bundle.doubt[0]]
    assert len(confident) > 30
    assert np.quantile(confident, 0.95) < 0.5
    probability, heat = answers("Fractured", 20)
    assert np.median(heat[probability >= bundle.threshold]) > 0.6


def test_the_shipped_models_map_depends_on_its_weights_from_the_head_to_the_first_layer() -> None:
    """The randomisation test of Adebayo et al., arXiv:1810.03292, section 3, in cascades from the top.

    Each step shuffles the numbers of some more layers, so that their spread stays what it was. A map that
    was drawn by the picture alone, as an edge detector draws one, would keep its ranks.
    """
    bundle = read_bundle(MODEL)
    inputs = np.stack(
        [
            preprocess(draw_radiograph(300, 200, seed=seed, fractured=True), bundle.preprocess)
            for seed in range(3)
        ]
    )

    def maps(network: keras.Model) -> np.ndarray:
        return Outputs.of(explain(network)(inputs, training=False)).map

    def likeness(network: keras.Model) -> float:
        pairs = zip(own, maps(network), strict=True)
        return float(np.mean([abs(spearmanr(a.ravel(), b.ravel())[0]) for a, b in pairs]))

    own = maps(load_network(bundle))
    likenesses = []
    for seed in range(2):
        network, random = load_network(bundle), np.random.default_rng(seed)
        assert likeness(network) == pytest.approx(1.0)
        top = [layer.name for layer in network.layers].index(EVIDENCE) + 1
        middle = top // 2
        steps = (network.layers[top:], network.layers[middle:top], network.layers[:middle])
        for layers in steps:
            for layer in layers:
                layer.set_weights(
                    [random.permutation(w.ravel()).reshape(w.shape) for w in layer.get_weights()]
                )
            likenesses.append(likeness(network))
    head, half, whole = np.array(likenesses).reshape(2, 3).mean(axis=0)
    assert max(head, half, whole) < 0.5
