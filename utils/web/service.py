"""Turns a model's path into one reader a process, loaded once, shared by its threads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from utils.errors import FractureError, Overloaded, SetupError
from utils.formats.radiograph import Limits
from utils.inference import Reader, load_reader

logger = logging.getLogger(__name__)

Stamp = tuple[tuple[int, int, int] | None, ...]


class ModelLoading(SetupError):
    """Another thread is loading the model at this moment."""

    code = "model_loading"


class ReaderService:
    """The process's one reader, and the turns its threads take.

    A model that failed to load is tried again only once the file or its sidecar has changed, at the next
    readiness call or request: the same bytes would fail the same way, and reading them costs seconds.

    Args:
        model: path of the model file.
        limits: what is accepted.
        engine: what runs the network.
        concurrency: radiographs read at the same time.
        queue_seconds: how long a request waits for its turn.
    """

    def __init__(
        self,
        model: Path,
        *,
        limits: Limits,
        engine: str,
        concurrency: int,
        queue_seconds: float,
    ) -> None:
        self.model = model
        self._limits = limits
        self._engine = engine
        self._queue_seconds = queue_seconds
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(concurrency)
        self._reader: Reader | None = None
        self._fault: FractureError | None = None
        self._tried: Stamp = ()

    def reader(self, *, wait: bool = True) -> Reader:
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
            self._reader = load_reader(self.model, limits=self._limits, engine=self._engine)
            logger.info("the model is ready")
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

    @contextmanager
    def turn(self) -> Iterator[Reader]:
        """Hold one of the process's turns to read a radiograph.

        Raises:
            Overloaded: none came free in time.
            SetupError: there is no usable model.
        """
        reader = self.reader()
        if not self._turns.acquire(timeout=self._queue_seconds):
            raise Overloaded("too many radiographs are being read; send it again in a few seconds")
        try:
            yield reader
        finally:
            self._turns.release()
