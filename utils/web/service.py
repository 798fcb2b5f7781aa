"""The process's one predictor, loaded once, and the admission queue in front of it."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from flask import current_app

from utils.errors import FractureError, SetupError
from utils.inference.predictor import Predictor, load_predictor
from utils.web.admission import AdmissionQueue
from utils.web.metrics import Metrics
from utils.web.workers.cpu_share import share_of

if TYPE_CHECKING:
    from config import Settings

logger = logging.getLogger(__name__)

# Inode, size and modification time of a file; None for one that is missing.
Stamp = tuple[int, int, int] | None


class ModelLoading(SetupError):
    """Another thread is loading the model at this moment."""

    code = "model_loading"


class PredictorService:
    """The process's one predictor, and the queue of the requests that use it.

    A model that failed to load is tried again only once the file or its sidecar has changed, at the next
    readiness call or request: the same bytes would fail the same way, and reading them costs seconds.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self.metrics = metrics
        self._lock = threading.Lock()
        self._predictor: Predictor | None = None
        self._error: FractureError | None = None
        self._tried: tuple[Stamp, ...] = ()
        self.share_cores(workers=1)

    def share_cores(self, workers: int) -> None:
        """Take one of ``workers`` equal shares of the machine, before the model is loaded."""
        from joblib import cpu_count

        settings = self._settings
        self.share = share_of(
            cpu_count(), workers, threads=settings.threads, concurrency=settings.concurrency
        )
        self.queue = AdmissionQueue(
            concurrency=self.share.concurrency,
            waiting=settings.queue,
            seconds=settings.queue_seconds,
            metrics=self.metrics,
        )

    def predictor(self, *, wait: bool = True) -> Predictor:
        """Return the predictor, loading the model if that has not been tried with these files.

        Raises:
            ModelLoading: another thread loads it, and ``wait`` is false.
            SetupError: there is no usable model; the message has the reason.
        """
        if self._predictor is not None:
            return self._predictor
        if not self._lock.acquire(blocking=wait):
            raise ModelLoading("web.model_loading")
        try:
            if self._predictor is None:
                self._load()
            if self._predictor is None:
                raise self._error or ModelLoading("web.model_not_loaded")
            return self._predictor
        finally:
            self._lock.release()

    @property
    def label_meaning(self) -> str | None:
        """What the labels meant in the data the model learned from; None while it is not loaded."""
        return None if self._predictor is None else self._predictor.bundle.labels.meaning

    @property
    def regions(self) -> tuple[str, ...]:
        """Body parts that the model supports; empty while it is not loaded."""
        return () if self._predictor is None else self._predictor.bundle.regions

    def _load(self) -> None:
        settings, share = self._settings, self.share
        stamps = (_stamp(settings.model), _stamp(settings.model.with_suffix(".json")))
        if stamps == self._tried:
            return
        try:
            predictor = load_predictor(
                settings.model,
                limits=settings.limits,
                prevalence=settings.prevalence,
                engine=settings.engine,
                cache=settings.engine_cache,
                threads=share.threads,
                lone_threads=share.lone_threads,
                precision=settings.precision,
            )
            self.metrics.set_model(predictor)
            self._predictor = predictor
            logger.info(
                "the model is ready: %d threads, %d for a lone radiograph, %d radiographs at a time",
                share.threads,
                share.lone_threads,
                share.concurrency,
            )
        except FractureError as error:
            # An input error would be the client's, who did not send the model.
            setup = isinstance(error, SetupError)
            self._error = error if setup else SetupError(error.message_id, **error.facts)
            logger.error("the model is not usable: %s", error)
        except Exception:
            # A worker that dies here would be started again for ever. The trace is in the log, and
            # every request is refused.
            self._error = SetupError("web.load_failed")
            logger.exception("loading the model failed")
        # The stamps from before the load: a file that changed meanwhile is tried again.
        self._tried = stamps


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def current_service() -> PredictorService:
    """Return the app's predictor service."""
    service: PredictorService = current_app.extensions["predictor_service"]
    return service
