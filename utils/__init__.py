"""Fracture detection in radiographs, in rooms; a room imports its own floor or a lower one.

From the top floor down (the contract is in pyproject.toml, the reasons in docs/design.md):

- ``web``: the Flask app: pages, JSON, errors to HTTP statuses
- ``report``: report and model card of an evaluation, as Markdown, HTML and plots
- ``evaluation``: metrics of a model on a labelled dataset, with intervals
- ``training``: training of a network, up to the bundle it ends in; imports nothing of inference
- ``inference``: engines, and the predictor: bytes of a file to a prediction; imports no training
- ``model_builder``: the network; ``gradcam``: its map of evidence
- ``model``: what belongs to a trained network: bundle, sidecar, calibration, OOD detector
- ``datasets``: folders of images to samples, splits and prepared images
- ``preprocess``: the network's input, the same for training and serving
- ``formats``: bytes of a file to a radiograph, a table of formats
- ``imaging``: images in memory: radiograph, geometry, content crop, overlay
- ``errors``, ``messages``, ``files``, ``registry``, ``cli``: the base, standard library only
"""

from __future__ import annotations

__version__ = "0.1.0.dev0"
