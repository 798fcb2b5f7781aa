"""How gunicorn serves the app; `gunicorn -w 4 -b 0.0.0.0:5000 app:app` finds this file by itself.

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

from config import read_settings
from utils.errors import SetupError
from utils.inference.cores import usable_cores
from utils.web import prometheus_folder as metrics_folder
from utils.web.cpu_share import share_of
from utils.web.middleware.logs import gunicorn_logging

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

try:
    _settings = read_settings()
    # Before the app is imported, which decides where its counts live.
    metrics_folder.share()
except SetupError as fault:
    print(f"error: {fault}", file=sys.stderr)
    raise SystemExit(3) from None

bind = "127.0.0.1:5000"

# Two, so that one answers while the other starts again. They share the cores
# (utils/web/cpu_share.py), so more of them cost memory and gain little.
workers = int(os.environ.get("WEB_CONCURRENCY", 2))

# A thread for each request that may be in a worker, waiting or being read, and some for probes, pages and
# refusals: all would wait in gunicorn's own queue otherwise, which has no end and no deadline and is not
# seen from outside. A thread that waits costs some 100 kB and no time.
worker_class = "utils.web.middleware.gunicorn_worker.JsonErrorWorker"
SPARE_THREADS = 16
_read_at_once = share_of(
    usable_cores(), 1, threads=_settings.threads, concurrency=_settings.concurrency
).concurrency
threads = _settings.queue + _read_at_once + SPARE_THREADS

# Connections a worker holds, idle ones included. Above the threads by far, so that whoever comes beyond
# the queue is answered 503 at once and not left in the listen queue.
worker_connections = threads + 1000
backlog = 512

# Seconds an idle connection is kept for its client's next request.
keepalive = 5

# Seconds without a sign of life before a worker is replaced. It does not bound a request in a gthread
# worker: FRACTURE_BODY_SECONDS and FRACTURE_QUEUE_SECONDS do.
timeout = 60

# A worker that is told to stop answers first what it has accepted, and ends as soon as that is done. So
# long may it take: an upload that has just begun, a full queue, and the reading itself.
READING_SECONDS = 10
graceful_timeout = _settings.body_seconds + math.ceil(_settings.queue_seconds) + READING_SECONDS

# Workers are not replaced after a number of requests: their memory stays level (docs/performance.md), and
# each new one would load the model while the others carry its load.
max_requests = 0

# The app's addresses and headers are short.
limit_request_line = 2048
limit_request_fields = 64
limit_request_field_size = 8190

# The heartbeat is a file; on a disk that stalls, a healthy worker would be taken for dead.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None

# No socket file in the home folder; systemd and signals manage this service.
control_socket_disable = True

# No access log: it would hold addresses as they were sent. The app logs one line a request without.
accesslog = None
logconfig_dict = gunicorn_logging(_settings.log_level)


# Loading takes a second; minutes where the engine's graph is not cached yet and the cores are busy.
LOAD_SECONDS = 600
SIGN_SECONDS = 5


def post_worker_init(worker: Worker) -> None:
    """Load the model in the worker, after the fork: TensorFlow hangs when its threads are forked.

    The worker takes no connection before it is done, so none waits for it while others are ready. A model
    that cannot be loaded leaves the worker alive and not ready, so that /readyz says why.
    """
    loaded = threading.Event()

    def give_signs_of_life() -> None:
        until = time.monotonic() + LOAD_SECONDS
        while not loaded.wait(SIGN_SECONDS) and time.monotonic() < until:
            worker.notify()

    threading.Thread(target=give_signs_of_life, daemon=True).start()
    service = worker.wsgi.extensions["reader_service"]
    service.divide(worker.cfg.workers)
    try:
        service.reader()
    except SetupError:
        pass  # Logged by the service, and told by /readyz and /predict.
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
    """Take what a worker that has ended said about itself out of /metrics."""
    metrics_folder.forget(worker.pid)


def on_exit(server: Arbiter) -> None:
    """Remove the workers' counts with the server."""
    metrics_folder.remove()
