"""Turns a plan and a corpus into trained weights, an epoch at a time, so that a run can stop and go on."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np

from utils.datasets.training_set import TrainingSet
from utils.errors import SetupError
from utils.gradcam import MAP, signed_map
from utils.imaging.geometry import lesion_mask
from utils.model.pretrained import load_pretrained
from utils.model_builder import (
    LOGIT,
    REGION,
    backbone_layers,
    batch_norms,
    build_model,
    feature_maps,
    map_offset,
)
from utils.training.augmentation import LESIONS, reseed, training_input
from utils.training.batches import Batches
from utils.training.callbacks import LastStep, Steps, TimeUp, progress_bar
from utils.training.checkpoints import RunFolder, save_weights
from utils.training.config import HEAD, TrainingConfig
from utils.training.distillation import Teacher
from utils.training.fused_batch_norm import with_fused_batch_norm
from utils.training.history import Epoch
from utils.training.leakage import check_leakage, parent_bundles
from utils.training.losses import LOCATION, LocationLoss, given_loss, hits
from utils.training.schedule import learning_rate_at, out_of_patience
from utils.training.validation import run_network, validation_scores

FEATURES = "features"

log = logging.getLogger(__name__)

COMPLETED, PATIENCE, TIME, INTERRUPTED = (
    "completed",
    "out of patience",
    "out of time",
    "interrupted",
)


class Trainer:
    """A run: its network, its history and its checkpoints.

    Args:
        config: how to train.
        data: on what.
        run: folder of checkpoints, logs and curves; made where it is missing.
        progress: show a bar an epoch on stderr.
        commit: version of the code, "" where it is not known.
    """

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
        self.regions = data.regions if config.region_weight > 0 else ()
        self.history: list[Epoch] = []
        self._compiled_for = ""
        self._deadline, self._afterwards, self._seconds_a_picture = math.inf, 0, 0.0
        with _dtype_policy("mixed_bfloat16" if config.mixed_precision else "float32"):
            self.network = with_fused_batch_norm(self._build())
        rows = data.rows["train"]
        self.shift = map_offset(config.architecture, config.detail)
        self.located = keras.Model(
            self.network.inputs[0], {**self.network.output, MAP: signed_map(self.network)}
        )
        self.teacher = Teacher(Path(config.teacher), config.image_size) if config.teacher else None
        self.teaches_places = config.location_weight > 0 and any(
            data.prepared.samples[row].boxes for row in rows
        )
        self.model = self._training_model()
        self.batches = Batches(
            data.prepared.images,
            rows,
            data.labels,
            regions=data.region_index if self.regions else None,
            lesions=self._lesions if self.teaches_places else None,
            batch_size=config.batch_size,
            balanced=config.class_weight == "balanced",
            negatives=config.negatives,
            seed=config.seed,
        )

    def start(self) -> None:
        """Begin a new run: empty its folder of an old one's files and fill the backbone.

        Raises:
            SetupError: the pretrained weights are missing or do not fit.
        """
        filled = load_pretrained(self.network, self.config.weights)
        source = Path(self.config.weights).name if filled else "random numbers"
        log.info("%s: %d layers filled from %s", self.config.architecture, filled, source)
        self.folder.begin(self.config.weights)

    def resume(self) -> None:
        """Go back to where the last checkpoint in the run's folder was written.

        Raises:
            SetupError: there is none, or it belongs to another plan or other data.
        """
        self.history = self.folder.read(self._identity())
        self._compile(self.history[-1].phase)
        self.model.load_weights(self.folder.last)
        log.info("resuming after %d epochs", len(self.history))

    def fit(self, deadline: float = math.inf, afterwards: int = 0) -> str:
        """Train to the end of the plan, or as far as time, patience or Ctrl-C allow.

        Args:
            deadline: when all must be done, in seconds of ``time.monotonic``.
            afterwards: pictures that the network must still look at when training is over.

        Returns:
            How it ended: "completed", "out of patience", "out of time" or "interrupted".

        Raises:
            SetupError: the time was up before one epoch was done, or the loss is no number any more.
            KeyboardInterrupt: interrupted before one epoch was done.
        """
        before = len(self.history)
        self._deadline, self._afterwards = deadline, afterwards
        try:
            outcome = self._run_phases()
        except TimeUp:
            outcome = TIME
        except KeyboardInterrupt:
            if not self.history:
                raise
            outcome = INTERRUPTED
        if outcome == TIME and len(self.history) == before:
            raise SetupError("not one epoch was done in time; give it more --max_minutes")
        log.info("training ended (%s) after %d epochs", outcome, len(self.history))
        return outcome

    def best_network(self) -> keras.Model:
        """Return the network of the best epoch, in float32 throughout."""
        network = self._build()
        network.load_weights(self.folder.best)
        return network

    def _build(self) -> keras.Model:
        config = self.config
        return build_model(
            config.architecture,
            config.image_size,
            regions=self.regions,
            detail=config.detail,
            dropout=config.dropout,
        )

    def _training_model(self) -> keras.Model:
        """Return the network between its varied input and the losses."""
        config = self.config
        scalings = [self.teacher.scaling] if self.teacher else []
        entry = training_input(config.spec, augment=config.augment, seed=config.seed, also=scalings)
        varied, lesions, *others = entry.outputs
        followed = {**self.located.output, FEATURES: feature_maps(self.network)}
        trained = keras.Model(self.network.inputs[0], followed)(varied)
        signed, maps = trained.pop(MAP), trained.pop(FEATURES)
        if self.teacher:
            trained[LOGIT] = self.teacher.teach(
                trained[LOGIT], maps, others[0], config.teacher_weight
            )
        if self.teaches_places:
            unmoved = entry.input[LESIONS]
            trained[LOCATION] = LocationLoss(self.shift)((signed, lesions, unmoved))
        return keras.Model(entry.input, trained, name="training")

    def _lesions(self, row: int) -> np.ndarray:
        """Return the mask of a row's marked lesions."""
        prepared = self.data.prepared
        file = prepared.files[row]
        return lesion_mask(prepared.samples[row].boxes, file.crop, self.config.image_size)

    def _time_left(self) -> float:
        """Return the seconds in which steps may still be made."""
        return self._deadline - time.monotonic() - self._afterwards * self._seconds_a_picture

    def _run_phases(self) -> str:
        names = [name for name, _, _ in self.config.phases]
        reached = names.index(self.history[-1].phase) if self.history else 0
        outcome = COMPLETED
        for name, epochs, highest in self.config.phases[reached:]:
            self._compile(name)
            while True:
                done = [row for row in self.history if row.phase == name]
                if len(done) >= epochs:
                    outcome = COMPLETED
                    break
                if out_of_patience([row.val_auc for row in done], self.config.patience):
                    outcome = PATIENCE
                    break
                if max((row.seconds for row in done), default=0.0) > self._time_left():
                    return TIME
                self._run_epoch(name, epochs, highest, done)
        return outcome

    def _run_epoch(self, phase: str, epochs: int, highest: float, done: Sequence[Epoch]) -> None:
        """Train one epoch, score it on the validation part, and write the checkpoint."""
        started = time.monotonic()
        scores = [row.val_auc for row in done]
        steps = len(self.batches)
        self.batches.start_epoch(len(self.history))
        reseed(self.model, self.config.seed, len(self.history))

        def rate(step: int) -> float:
            share = (len(done) + step / steps) / epochs
            return learning_rate_at(self.config.schedule, highest, share, scores)

        title = f"{phase} {len(done) + 1}/{epochs}"
        last = LastStep()
        with progress_bar(title, steps, self.progress) as bar:
            losses = self.model.fit(
                self.batches,
                verbose=0,
                shuffle=False,
                callbacks=[Steps(rate, self._time_left, bar), last],
            )
        # With averaging, Keras leaves the running mean of the weights in the model: it is validated and
        # kept, and training goes on from the last step's. Copied, because on jax the model and its
        # optimizer would share the arrays, and whoever computes first uses them up.
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
        log.info(
            "%s: loss %.4f, validation loss %.4f, AUC %.4f, average precision %.4f, pointing %s (%.0f s)",
            title,
            row.loss,
            row.val_loss,
            row.val_auc,
            row.val_average_precision,
            "-" if pointing is None else f"{pointing:.3f}",
            row.seconds,
        )

    def _validate(self) -> tuple[np.ndarray, float | None]:
        """Return the logits of the validation part, and how often a lesion is where the map is highest."""
        rows = self.data.rows["validation"]
        started = time.monotonic()
        answers = run_network(self.located, self.config.spec, self.data.prepared.images, rows)
        self._seconds_a_picture = (time.monotonic() - started) / len(rows)
        logits = answers[LOGIT][:, 0]
        if not np.isfinite(logits).all():
            raise SetupError(
                "training diverged: the network's outputs are no numbers any more; use a smaller "
                "--learning_rate"
            )
        marked = [n for n, row in enumerate(rows) if self.data.prepared.samples[row].boxes]
        if not marked:
            return logits, None
        masks = np.stack([self._lesions(rows[number]) for number in marked])
        return logits, float(hits(answers[MAP][marked], masks, self.shift).mean())

    def _compile(self, phase: str) -> None:
        """Prepare the model for a phase: what is trained, its losses, a fresh optimizer."""
        if self._compiled_for == phase:
            return
        config = self.config
        for layer in backbone_layers(self.network):
            layer.trainable = phase != HEAD
        if config.holds_batch_norm:
            for layer in batch_norms(self.network):
                layer.trainable = False
        loss: dict[str, keras.losses.Loss | Callable[..., keras.KerasTensor]] = {
            LOGIT: keras.losses.BinaryCrossentropy(
                from_logits=True, label_smoothing=config.label_smoothing
            )
        }
        if self.regions:
            loss[REGION] = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        if self.teaches_places:
            loss[LOCATION] = given_loss
        weights = {LOGIT: 1.0, REGION: config.region_weight, LOCATION: config.location_weight}
        optimizer = keras.optimizers.AdamW(
            config.learning_rate,
            weight_decay=config.weight_decay,
            clipnorm=1.0,
            use_ema=config.averaging > 0,
            ema_momentum=config.averaging,
        )
        self.model.compile(optimizer, loss, loss_weights={name: weights[name] for name in loss})
        # Built now, so that a checkpoint's optimizer state has variables to go into.
        optimizer.build(self.model.trainable_variables)
        self._compiled_for = phase

    def _identity(self) -> dict[str, Any]:
        """Return what must be the same for a run to go on; the threshold is chosen after it."""
        config = asdict(self.config)
        del config["sensitivity"]
        return {
            **config,
            "images": self.data.report.model_dump()["used"],
            "built on": [bundle.sha256 for bundle in self.parent_bundles],
        }

    def _checkpoint(self, row: Epoch, last: Sequence[np.ndarray]) -> None:
        """Write the run's files.

        Args:
            row: the epoch that is done; it joins the history once its weights are safe.
            last: the model's weights after its last step.
        """
        if all(row.val_auc > earlier.val_auc for earlier in self.history):
            save_weights(self.network, self.folder.best)
        self.history.append(row)
        self.model.set_weights(last)
        self.folder.write(self._identity(), self.history, self.model)


@contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    """Build layers under another dtype policy, and leave Keras as it was."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
