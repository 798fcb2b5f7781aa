"""Gunicorn's configuration; ``gunicorn -w 4 -b 0.0.0.0:5000 app:app`` finds this file by itself.

Command-line flags win over what is here.
"""

from __future__ import annotations

import math
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from joblib import cpu_count

from config import read_settings
from utils.errors import SetupError
from utils.web.middleware.logs import WithoutRequests, formatter
from utils.web.workers import prometheus_folder
from utils.web.workers.cpu_share import share_of

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

try:
    _settings = read_settings()
    # Before the app is imported: prometheus_client decides then where the counts live.
    prometheus_folder.create()
except SetupError as error:
    print(f"error: {error}", file=sys.stderr)
    raise SystemExit(3) from None

bind = "127.0.0.1:5000"

# Two, so that one answers while the other starts again. They share the cores
# (utils/web/workers/cpu_share.py), so more of them cost memory and gain little.
workers = int(os.environ.get("WEB_CONCURRENCY", 2))

# A thread for each request that may be in a worker, waiting or being computed, and some for probes, pages
# and refusals: all would wait in gunicorn's own queue otherwise, which has no bound and no deadline and
# cannot be observed. A thread that waits costs some 100 kB and no time.
worker_class = "utils.web.workers.gunicorn_worker.JsonErrorWorker"
SPARE_THREADS = 16
_share = share_of(cpu_count(), 1, threads=_settings.threads, concurrency=_settings.concurrency)
threads = _settings.queue + _share.concurrency + SPARE_THREADS

# Connections a worker holds, idle ones included. Above the threads by far, so that a request beyond
# the queue is answered 503 at once and not left in the listen queue.
worker_connections = threads + 1000
backlog = 512

# Seconds an idle connection is kept for its client's next request.
keepalive = 5

# Seconds without a sign of life before a worker is replaced. It does not bound a request in a gthread
# worker: FRACTURE_BODY_SECONDS and FRACTURE_QUEUE_SECONDS do.
timeout = 60

# A worker that is stopped answers first what it has accepted, and ends as soon as that is done. This is
# the longest it may take: an upload that has just begun, a full queue, and the prediction itself. An upload
# on a slow line may take longer (utils/web/middleware/body.py); a restart does not wait for it.
PREDICTION_SECONDS = 10
graceful_timeout = _settings.body_seconds + math.ceil(_settings.queue_seconds) + PREDICTION_SECONDS

# Workers are not replaced after a number of requests: their memory stays level (docs/performance.md), and
# each new one would load the model while the others carry its load.
max_requests = 0

# The app's addresses and headers are short.
limit_request_line = 2048
limit_request_fields = 64
limit_request_field_size = 8190

# The heartbeat is a file; on a disk that stalls, a healthy worker would look dead.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None

# No socket file in the home folder; systemd and signals manage this service.
control_socket_disable = True

# Gunicorn's own events as JSON lines too. No access log: it would hold addresses as they were sent; the app
# logs one line a request without.
accesslog = None
_level = _settings.log_level.upper()
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": formatter}},
    "filters": {"without requests": {"()": WithoutRequests}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "json"},
        "none": {"class": "logging.NullHandler"},
    },
    "root": {"level": _level, "handlers": ["stderr"]},
    "loggers": {
        "gunicorn.error": {
            "level": _level,
            "handlers": [],
            "filters": ["without requests"],
            "propagate": True,
        },
        "gunicorn.access": {"handlers": ["none"], "propagate": False},
    },
}


# Loading takes a second; minutes where the engine's graph is not cached yet and the cores are busy.
LOAD_SECONDS = 600
HEARTBEAT_SECONDS = 5


def post_worker_init(worker: Worker) -> None:
    """Load the model in the worker, after the fork: TensorFlow hangs when its threads are forked.

    The worker takes no connection before it is done, so none waits for it while others are ready. A model
    that cannot be loaded leaves the worker alive and not ready, so that /readyz reports the reason.
    """
    loaded = threading.Event()

    def beat() -> None:
        deadline = time.monotonic() + LOAD_SECONDS
        while not loaded.wait(HEARTBEAT_SECONDS) and time.monotonic() < deadline:
            worker.notify()

    threading.Thread(target=beat, daemon=True).start()
    service = worker.wsgi.extensions["predictor_service"]
    service.share_cores(worker.cfg.workers)
    try:
        service.predictor()
    except SetupError:
        pass  # Logged by the service; /readyz and /predict answer with the reason.
    finally:
        loaded.set()


def post_request(worker: Worker, req: Any, environ: dict[str, Any], resp: Any) -> None:
    """Read no more from a connection that will be closed.

    Gunicorn waits for the client to close first, up to two seconds and in the thread that accepts
    connections: all others would wait with it. What the client has sent was read already.
    """
    connection = environ.get("gunicorn.socket")
    if connection is not None and resp is not None and resp.should_close():
        try:
            connection.shutdown(socket.SHUT_RD)
        except OSError:
            pass  # The client has gone already.


def child_exit(server: Arbiter, worker: Worker) -> None:
    """Remove the gauges of a worker that has ended from /metrics."""
    prometheus_folder.forget(worker.pid)


def on_exit(server: Arbiter) -> None:
    """Remove the workers' counts with the server."""
    prometheus_folder.remove()
