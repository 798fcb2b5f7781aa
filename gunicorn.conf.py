"""How gunicorn serves the app; `gunicorn -w 4 -b 0.0.0.0:5000 app:app` finds this file by itself.

Command-line flags win over what is here.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from config import read_settings
from utils.errors import SetupError
from utils.web.logs import gunicorn_logging

if TYPE_CHECKING:
    from gunicorn.workers.base import Worker

try:
    _settings = read_settings()
except SetupError as fault:
    print(f"error: {fault}", file=sys.stderr)
    raise SystemExit(3) from None

bind = "127.0.0.1:5000"

# Threads, so that a probe or a slow upload does not wait behind a radiograph that is being read. How
# many are read at once is FRACTURE_CONCURRENCY; the other threads take uploads in and answer probes.
worker_class = "gthread"
threads = 8

# Seconds without a sign of life before a worker is replaced. It does not bound a request in a gthread
# worker: FRACTURE_BODY_SECONDS and FRACTURE_QUEUE_SECONDS do.
timeout = 60
graceful_timeout = 30
keepalive = 5

# Connections a worker holds, waiting ones included; more stay in the listen queue.
worker_connections = 200
backlog = 512

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


# Loading takes seconds on an idle machine, and minutes where many workers start on few busy cores.
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
    try:
        worker.wsgi.extensions["reader_service"].reader()
    except SetupError:
        pass  # Logged by the service, and told by /readyz and /predict.
    finally:
        loaded.set()
