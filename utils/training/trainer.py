"""Trainer: a run of epochs that stops at a deadline and resumes exactly."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import keras
import numpy as np

from utils.datasets.training_set import TrainingSet
from utils.errors import SetupError
from utils.gradcam import MAP, signed_map
from utils.imaging.geometry import lesion_mask
from utils.model.detection.targets import encode_boxes
from utils.model.fused_batch_norm import with_fused_batch_norm
from utils.model.pretrained import load_pretrained
from utils.model_builder import (
    FINE,
    LOGIT,
    backbone_layers,
    batch_norms,
    build_model,
    map_offset,
)
from utils.training.augmentation.variation import VARIATIONS
from utils.training.batches import Batches, run_network
from utils.training.checkpoints import (
    Epoch,
    RunFolder,
    run_identity,
    save_weights,
    validation_scores,
)
from utils.training.config import HEAD, LAST, TrainingConfig
from utils.training.epochs.callbacks import (
    LastStep,
    StepLoop,
    TimeLimitReached,
    progress_bar,
    reseed,
)
from utils.training.epochs.schedule import learning_rate_at, out_of_patience
from utils.training.graph import training_graph
from utils.training.leakage import check_leakage, parent_bundles
from utils.training.losses import Teacher, compile_model, pointing_hits

COMPLETED, PATIENCE = "completed", "out of patience"
TIME, INTERRUPTED = "out of time", "interrupted"

log = logging.getLogger(__name__)


class Trainer:
    """A run: its network, its history and its checkpoints; arguments as in ``finalize.train``."""

    def __init__(
        self,
        config: TrainingConfig,
        data: TrainingSet,
        run: Path,
        *,
        progress: bool = False,
        commit: str = "",
    ) -> None:
        self.config, self.data, self.progress = config, data, progress
        self.folder = RunFolder(run, commit)
        self.parent_bundles = parent_bundles(config)
        check_leakage(self.parent_bundles, data)
        self.identity = run_identity(config, data, self.parent_bundles)
        self.regions = data.regions if config.region_weight > 0 else ()
        marks = any(data.prepared.samples[row].boxes for row in data.rows["train"])
        self.trains_location = config.location_weight > 0 and marks
        self.trains_boxes = config.boxes_weight > 0 and config.detail == FINE and marks
        self.history: list[Epoch] = []
        self._compiled_for = ""
        self._deadline, self._images_afterwards, self._seconds_an_image = math.inf, 0, 0.0
        with _dtype_policy("mixed_bfloat16" if config.mixed_precision else "float32"):
            self.network = with_fused_batch_norm(self._build())
        self.map_offset = map_offset(config.architecture, config.detail)
        self.with_map = keras.Model(
            self.network.inputs[0], {**self.network.output, MAP: signed_map(self.network)}
        )
        self.teacher = Teacher(Path(config.teacher), config.image_size) if config.teacher else None
        self.model = training_graph(
            self.network,
            self.with_map,
            config,
            teacher=self.teacher,
            location=self.trains_location,
        )
        cells, size = self.with_map.output[MAP].shape[1], config.image_size
        encode = partial(encode_boxes, cells=cells, size=size, offset=self.map_offset)
        self.batches = Batches(
            data.prepared.images,
            data.rows["train"],
            data.labels,
            regions=data.region_index if self.regions else None,
            boxes=data.prepared.boxes,
            places=data.prepared.place,
            location=self.trains_location,
            detection=encode if self.trains_boxes else None,
            variation=VARIATIONS[config.augmentation],
            batch_size=config.batch_size,
            balanced=config.class_weight == "balanced",
            negatives=config.negatives,
            seed=config.seed,
        )

    def start(self) -> None:
        """Begin a new run in its folder and fill the backbone, see ``pretrained.load_pretrained``."""
        filled = load_pretrained(self.network, self.config.weights)
        source = Path(self.config.weights).name if filled else "random numbers"
        log.info("%s: %d layers filled from %s", self.config.architecture, filled, source)
        self.folder.begin(self.config.weights)

    def resume(self) -> None:
        """Restore the last checkpoint in the run's folder, see ``RunFolder.read``."""
        self.history = self.folder.read(self.identity)
        self._compile(self.history[-1].phase)
        self.model.load_weights(self.folder.last)
        log.info("resuming after %d epochs", len(self.history))

    def fit(
        self,
        deadline: float = math.inf,
        images_afterwards: int = 0,
        *,
        needs_epoch: bool = True,
    ) -> str:
        """Train until all phases are done, the patience or the time is used up, or Ctrl-C.

        Args:
            deadline: when everything must be done, in seconds of ``time.monotonic``.
            images_afterwards: images that the network must still process after training.
            needs_epoch: raise where not one epoch is finished in time.

        Returns:
            COMPLETED, PATIENCE, TIME or INTERRUPTED.

        Raises:
            SetupError: not one epoch was finished in time, or the loss diverged.
            KeyboardInterrupt: interrupted before one epoch was finished.
        """
        before = len(self.history)
        self._deadline, self._images_afterwards = deadline, images_afterwards
        try:
            outcome = self._run_phases()
        except TimeLimitReached:
            outcome = TIME
        except KeyboardInterrupt:
            if not self.history:
                raise
            outcome = INTERRUPTED
        if outcome == TIME and len(self.history) == before and needs_epoch:
            raise SetupError("training.not_one_epoch")
        log.info("training ended (%s) after %d epochs", outcome, len(self.history))
        return outcome

    def best_network(self) -> keras.Model:
        """Return the network of the epoch that is kept, in float32 throughout."""
        network = self._build()
        network.load_weights(self.folder.best)
        return network

    def _build(self) -> keras.Model:
        return build_model(
            self.config.architecture,
            self.config.image_size,
            regions=self.regions,
            detail=self.config.detail,
            boxes=self.trains_boxes,
            dropout=self.config.dropout,
        )

    def _time_left(self) -> float:
        """Return the seconds in which training steps may still run."""
        finishing = self._images_afterwards * self._seconds_an_image
        return self._deadline - time.monotonic() - finishing

    def _run_phases(self) -> str:
        names = [name for name, _, _ in self.config.phases]
        reached = names.index(self.history[-1].phase) if self.history else 0
        for name, epochs, highest in self.config.phases[reached:]:
            self._compile(name)
            if (outcome := self._run_phase(name, epochs, highest)) == TIME:
                break
        return outcome

    def _run_phase(self, name: str, epochs: int, highest: float) -> str:
        """Run the epochs of a phase that are not in the history yet."""
        while True:
            done = [row for row in self.history if row.phase == name]
            if len(done) >= epochs:
                return COMPLETED
            scores = [row.val_auc for row in done]
            if self.config.keep != LAST and out_of_patience(scores, self.config.patience):
                return PATIENCE
            if max((row.seconds for row in done), default=0.0) > self._time_left():
                return TIME
            self._run_epoch(name, epochs, highest, done)

    def _run_epoch(self, phase: str, epochs: int, highest: float, done: Sequence[Epoch]) -> None:
        """Train one epoch, score it on the validation part, and write the checkpoint."""
        started = time.monotonic()
        scores = [row.val_auc for row in done]
        self.batches.start_epoch(len(self.history))
        reseed(self.model, self.config.seed, len(self.history))

        def rate(step: int) -> float:
            share = (len(done) + step / len(self.batches)) / epochs
            return learning_rate_at(self.config.schedule, highest, share, scores)

        title = f"{phase} {len(done) + 1}/{epochs}"
        last = LastStep()
        with progress_bar(title, len(self.batches), self.progress) as bar:
            losses = self.model.fit(
                self.batches,
                verbose=0,
                shuffle=False,
                callbacks=[StepLoop(rate, self._time_left, bar), last],
            )
        # With averaging, Keras leaves the running mean of the weights in the model: it is validated, and
        # training continues from the last step's. Copied, because on jax the model and its optimizer
        # would share arrays that a computation uses up.
        if self.config.averaging:
            self.model.set_weights([array.copy() for array in self.model.get_weights()])
        logits, pointing = self._validate()
        row = Epoch(
            epoch=len(self.history) + 1,
            phase=phase,
            seconds=round(time.monotonic() - started, 1),
            learning_rate=float(self.model.optimizer.learning_rate),
            loss=float(losses.history["loss"][-1]),
            **validation_scores(self.data.labels[self.data.rows["validation"]], logits),
            val_pointing=pointing,
        )
        self._checkpoint(row, last.weights)
        log.info("%s: %s", title, row)

    def _validate(self) -> tuple[np.ndarray, float | None]:
        """Return the logits of the validation part, and the share of pointing hits of its lesions."""
        rows = self.data.rows["validation"]
        started = time.monotonic()
        outputs = run_network(self.with_map, self.config.spec, self.data.prepared.images, rows)
        self._seconds_an_image = (time.monotonic() - started) / len(rows)
        logits = outputs[LOGIT][:, 0]
        if not np.isfinite(logits).all():
            raise SetupError("training.diverged")
        marked = [n for n, row in enumerate(rows) if self.data.prepared.samples[row].boxes]
        if not marked:
            return logits, None
        boxes = [self.data.prepared.boxes(rows[number]) for number in marked]
        masks = np.stack([lesion_mask(own, self.config.image_size) for own in boxes])
        return logits, float(pointing_hits(outputs[MAP][marked], masks, self.map_offset).mean())

    def _compile(self, phase: str) -> None:
        """Set the trained layers of a phase, its losses, and a fresh optimizer."""
        if self._compiled_for == phase:
            return
        for layer in backbone_layers(self.network):
            layer.trainable = phase != HEAD
        if self.config.holds_batch_norm:
            for layer in batch_norms(self.network):
                layer.trainable = False
        compile_model(
            self.model,
            self.config,
            region=bool(self.regions),
            location=self.trains_location,
            boxes=self.trains_boxes,
        )
        self._compiled_for = phase

    def _checkpoint(self, row: Epoch, last: Sequence[np.ndarray]) -> None:
        """Write the checkpoint of a finished epoch; ``last`` are the weights after its last step."""
        best = all(row.val_auc > earlier.val_auc for earlier in self.history)
        if best or self.config.keep == LAST:
            save_weights(self.network, self.folder.best)
        self.history.append(row)
        self.model.set_weights(last)
        self.folder.write(self.identity, self.history, self.model)


@contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    """Build layers under another dtype policy, and leave Keras as it was."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
