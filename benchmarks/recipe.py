"""The usual way to serve a Keras model, written fairly: the baseline of the benchmarks.

    cd benchmarks && RECIPE_MODEL=../models/best_model.h5 gunicorn -w 2 --timeout 300 recipe:app

It is what tutorials teach and most such apps do: the Keras model loaded when the module is imported,
``model.predict``, an eager GradientTape Grad-CAM on the last feature map, OpenCV's colours over the
picture, base64 in JSON. Nothing is slow on purpose: the second model that Grad-CAM needs is built once
and not in every request, progress bars are off, and the picture is a JPEG, not a larger PNG.
"""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import keras
import numpy as np
import tensorflow as tf
from flask import Flask, Response, jsonify, request

from utils.model.bundle import load_network, read_bundle
from utils.model_builder import EVIDENCE, LOGIT

BUNDLE = read_bundle(Path(os.environ["RECIPE_MODEL"]))
SIZE = BUNDLE.preprocess.image_size
SCALING = BUNDLE.preprocess.scaling

network = load_network(BUNDLE)
score = keras.layers.Activation("sigmoid")(network.output[LOGIT])
model = keras.Model(network.inputs[0], score)
grad_model = keras.Model(network.inputs[0], [network.get_layer(EVIDENCE).output, score])

app = Flask(__name__)


def prepare(picture: np.ndarray) -> np.ndarray:
    """Return a colour picture as a scaled batch of one."""
    batch = cv2.resize(picture, (SIZE, SIZE)).astype(np.float32)[None]
    if SCALING == "unit":
        return batch / 255.0
    if SCALING == "raw":
        return batch
    return keras.applications.imagenet_utils.preprocess_input(batch, mode=SCALING)


def grad_cam(batch: np.ndarray) -> np.ndarray:
    """Return the heatmap of the last feature map, in [0, 1]."""
    with tf.GradientTape() as tape:
        evidence, prediction = grad_model(batch)
        target = prediction[:, 0]
    gradients = tape.gradient(target, evidence)
    weights = tf.reduce_mean(gradients, axis=(0, 1, 2))
    heatmap = tf.nn.relu(tf.reduce_sum(evidence[0] * weights, axis=-1))
    return (heatmap / (tf.reduce_max(heatmap) + 1e-8)).numpy()


def draw(picture: np.ndarray, heatmap: np.ndarray) -> bytes:
    """Blend the heatmap's colours over the picture, as a JPEG."""
    height, width = picture.shape[:2]
    levels = (cv2.resize(heatmap, (width, height)) * 255).astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_JET)
    blended = cv2.addWeighted(picture, 0.6, colours, 0.4, 0)
    return cv2.imencode(".jpg", blended)[1].tobytes()


@app.post("/predict")
def predict() -> Response:
    """Predict one radiograph."""
    content = request.files["file"].read()
    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    batch = prepare(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
    probability = float(model.predict(batch, verbose=0)[0, 0])
    positive = probability >= BUNDLE.threshold
    overlay = draw(picture, grad_cam(batch))
    return jsonify(
        {
            "prediction": BUNDLE.labels.positive if positive else BUNDLE.labels.negative,
            "confidence": probability if positive else 1.0 - probability,
            "overlay": "data:image/jpeg;base64," + base64.b64encode(overlay).decode(),
        }
    )
