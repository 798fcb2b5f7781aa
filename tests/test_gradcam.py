"""Grad-CAM: equal to automatic differentiation, and its sum is the logit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import spearmanr

from tests.support.pictures import draw_radiograph
from utils.errors import SetupError
from utils.formats import decode
from utils.gradcam import Outputs, explain, signed_map
from utils.inference.engines.engine import load_engine
from utils.model.bundle import load_network, read_bundle
from utils.model_builder import COARSE, EVIDENCE, FINE, LOGIT, build_model
from utils.preprocess import SCALINGS, PreprocessSpec, fit, preprocess

MODEL = Path(__file__).resolve().parents[1] / "models" / "best_model.h5"


def gradcam_by_differentiation(network: keras.Model, inputs: np.ndarray) -> np.ndarray:
    """Grad-CAM as its paper writes it, with a gradient tape: float32 (n, h, w), not negative."""
    outputs = {"evidence": network.get_layer(EVIDENCE).output, "logit": network.output[LOGIT]}
    tapped = keras.Model(network.inputs[0], outputs)
    with tf.GradientTape() as tape:
        answers = tapped(tf.constant(inputs), training=False)
        logit = tf.reduce_sum(answers["logit"])
    gradients = tape.gradient(logit, answers["evidence"])
    weights = tf.reduce_mean(gradients, axis=(1, 2), keepdims=True)
    return tf.nn.relu(tf.reduce_sum(weights * answers["evidence"], axis=-1)).numpy()


def assert_map_is_gradcam(network: keras.Model, inputs: np.ndarray) -> None:
    """Compare the map with differentiation, and its sum with the logit."""
    outputs = Outputs.of(explain(network)(inputs, training=False))
    expected = gradcam_by_differentiation(network, inputs)
    assert expected.max() > 0
    np.testing.assert_allclose(np.maximum(outputs.map, 0), expected, atol=1e-5 * expected.max())
    bias = float(np.asarray(network.get_layer(LOGIT).bias)[0])
    np.testing.assert_allclose(outputs.map.sum(axis=(1, 2)) + bias, outputs.logit, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("detail", [COARSE, FINE])
@pytest.mark.parametrize(
    "architecture", ["custom", "mobilenetv2", "densenet121", "efficientnetb0", "efficientnetlite0"]
)
def test_the_map_is_gradcam_and_sums_to_the_logit(architecture: str, detail: str) -> None:
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


@pytest.mark.slow
def test_the_shipped_models_map_is_gradcam() -> None:
    bundle = read_bundle(MODEL)
    inputs = np.stack(
        [preprocess(draw_radiograph(300, 200, seed=seed), bundle.preprocess) for seed in range(3)]
    )
    assert_map_is_gradcam(load_network(bundle), inputs)


def test_training_and_serving_have_the_same_map() -> None:
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


def test_boxes_are_explained_beside_the_map() -> None:
    network = build_model("custom", 32, detail=FINE, boxes=True)
    inputs = np.random.default_rng(0).random((2, 32, 32, 3)).astype(np.float32)
    outputs = Outputs.of(explain(network).predict_on_batch(inputs))
    direct = network.predict_on_batch(inputs)
    assert outputs.heatmap is not None
    assert outputs.heatmap.shape == outputs.map.shape
    np.testing.assert_allclose(outputs.heatmap, direct["heatmap"][..., 0], rtol=1e-5)
    np.testing.assert_allclose(outputs.box, direct["box"], rtol=1e-5, atol=1e-6)


def test_a_heatmap_that_is_not_finite_is_refused() -> None:
    one = np.zeros((1, 1), np.float32)
    with pytest.raises(SetupError, match="no finite number"):
        Outputs(one[0], one[None], one, None, np.full((1, 2, 2), np.nan), None)


@pytest.mark.slow
@pytest.mark.real_data
def test_a_confident_normal_has_a_cool_map(shared_data: Path) -> None:
    """On the absolute scale, whose top is where nine in ten maps of fractures stay under it."""
    engine = load_engine(MODEL)
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


@pytest.mark.slow
def test_the_map_depends_on_every_layer() -> None:
    """The randomisation test of Adebayo et al., arXiv:1810.03292, section 3, in cascades from the top.

    Each step shuffles the weights of some more layers, which keeps their distribution. A map that depends on
    the picture alone, as an edge detector's, would keep its ranks.
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

    def rank_correlation(network: keras.Model) -> float:
        pairs = zip(own, maps(network), strict=True)
        return float(np.mean([abs(spearmanr(a.ravel(), b.ravel())[0]) for a, b in pairs]))

    own = maps(load_network(bundle))
    correlations = []
    for seed in range(2):
        network, random = load_network(bundle), np.random.default_rng(seed)
        assert rank_correlation(network) == pytest.approx(1.0)
        top = [layer.name for layer in network.layers].index(EVIDENCE) + 1
        middle = top // 2
        steps = (network.layers[top:], network.layers[middle:top], network.layers[:middle])
        for layers in steps:
            for layer in layers:
                layer.set_weights(
                    [random.permutation(w.ravel()).reshape(w.shape) for w in layer.get_weights()]
                )
            correlations.append(rank_correlation(network))
    head, half, whole = np.array(correlations).reshape(2, 3).mean(axis=0)
    assert max(head, half, whole) < 0.5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["logit", "map", "embedding", "region"])
def test_outputs_are_finite(name: str, value: float) -> None:
    arrays = {"logit": (1,), "map": (1, 2, 2), "embedding": (1, 3), "region": (1, 2)}
    outputs = Outputs.of({output: np.zeros(shape) for output, shape in arrays.items()})
    broken = getattr(outputs, name).copy()
    broken.flat[-1] = value
    with pytest.raises(SetupError, match="no finite number"):
        replace(outputs, **{name: broken})
