"""Turns a model's path into one reader a process, loaded once, shared by the turns of its requests."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from utils.errors import FractureError, SetupError
from utils.inference.cores import usable_cores
from utils.inference.predictor import Predictor, load_predictor
from utils.web.admission import AdmissionQueue
from utils.web.cpu_share import share_of
from utils.web.metrics import Metrics
from utils.web.settings import WebSettings

logger = logging.getLogger(__name__)

Stamp = tuple[tuple[int, int, int] | None, ...]


class ModelLoading(SetupError):
    """Another thread is loading the model at this moment."""

    code = "model_loading"


class PredictorService:
    """The process's one reader, and the turns that its requests take.

    A model that failed to load is tried again only once the file or its sidecar has changed, at the next
    readiness call or request: the same bytes would fail the same way, and reading them costs seconds.

    Args:
        settings: the model, its engine, and how many may wait how long.
        metrics: is told what is ready, read and waiting.
    """

    def __init__(self, settings: WebSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._lock = threading.Lock()
        self._reader: Predictor | None = None
        self._fault: FractureError | None = None
        self._tried: Stamp = ()
        self.divide(workers=1)

    @property
    def model(self) -> Path:
        """Path of the model file."""
        return self._settings.model

    def divide(self, workers: int) -> None:
        """Take this process's share of the machine; to be called before the model is loaded.

        Args:
            workers: processes like this one.
        """
        chosen = self._settings
        self.share = share_of(
            usable_cores(), workers, threads=chosen.threads, concurrency=chosen.concurrency
        )
        self.turns = AdmissionQueue(
            readers=self.share.concurrency,
            waiting=chosen.queue,
            seconds=chosen.queue_seconds,
            metrics=self._metrics,
        )

    def reader(self, *, wait: bool = True) -> Predictor:
        """Return the reader, loading the model if that has not been tried with these files.

        Args:
            wait: for a load that another thread has begun; else ModelLoading is raised at once.

        Raises:
            SetupError: there is no usable model, and why.
        """
        if self._reader is not None:
            return self._reader
        if not self._lock.acquire(blocking=wait):
            raise ModelLoading("the model is being loaded; ask again in a few seconds")
        try:
            if self._reader is None:
                self._try()
            if self._reader is None:
                raise self._fault or ModelLoading("the model is not loaded")
            return self._reader
        finally:
            self._lock.release()

    @property
    def label_meaning(self) -> str | None:
        """What the labels meant in the data the model learned from; None while it is not loaded."""
        return None if self._reader is None else self._reader.bundle.labels.meaning

    def _try(self) -> None:
        stamp = self._stamp()
        if stamp == self._tried:
            return
        try:
            reader = load_predictor(
                self.model,
                limits=self._settings.limits,
                prevalence=self._settings.prevalence,
                engine=self._settings.engine,
                cache=self._settings.engine_cache,
                threads=self.share.threads,
                lone_threads=self.share.lone_threads,
                precision=self._settings.precision,
            )
            self._metrics.loaded(
                reader.bundle.architecture, reader.bundle.sha256, reader.engine.kind
            )
            self._reader = reader
            logger.info(
                "the model is ready: %d threads, %d for a lone radiograph, %d radiographs at a time",
                self.share.threads,
                self.share.lone_threads,
                self.share.concurrency,
            )
        except FractureError as fault:
            self._fault = fault if isinstance(fault, SetupError) else SetupError(str(fault))
            logger.error("the model is not usable: %s", fault)
        except Exception:
            # A worker that dies here would be started again for ever. The trace is in the log, and
            # every request is refused.
            self._fault = SetupError("the model could not be loaded; the log says why")
            logger.exception("loading the model failed")
        # The stamp from before the load: a file that changed meanwhile is tried again.
        self._tried = stamp

    def _stamp(self) -> Stamp:
        """Inode, size and time of the model and its sidecar; None for one that is missing."""
        stamps: list[tuple[int, int, int] | None] = []
        for path in (self.model, self.model.with_suffix(".json")):
            try:
                facts = path.stat()
            except OSError:
                stamps.append(None)
            else:
                stamps.append((facts.st_ino, facts.st_size, facts.st_mtime_ns))
        return tuple(stamps)
