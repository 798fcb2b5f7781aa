"""Load client: latency and outcome of every request, as one line of JSON.

    python benchmarks/load.py http://127.0.0.1:5000/predict PICTURE... --clients 16 --seconds 10

Each client waits for an answer before it sends the next picture. No two requests carry the same bytes:
a comment with a number of its own goes into every JPEG or PNG. Runs as a separate process, so that its
CPU time can be separated from the server's; it reports both.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import select
import signal
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import psutil

from utils.cli import DONE, Parser, run
from utils.errors import InputError

BOUNDARY = "a9d4c1f2b7e84f06"
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="radiograph"\r\n'
    "Content-Type: application/octet-stream\r\n\r\n"
).encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()
HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Accept": "*/*"}

OK = "200"
NO_PREDICTION = "200 without a prediction"
# A client that was refused or cut off waits a little, as a well-made script does.
PAUSE_SECONDS = 0.1


def with_comment(picture: bytes, text: bytes) -> bytes:
    """Return the same picture as other bytes: a JPEG or PNG with a comment in its header.

    Raises:
        InputError: it is neither.
    """
    if picture[:3] == b"\xff\xd8\xff":
        # Behind the JFIF segment, which wants to be first.
        at = 4 + int.from_bytes(picture[4:6]) if picture[2:4] == b"\xff\xe0" else 2
        chunk = b"\xff\xfe" + (len(text) + 2).to_bytes(2) + text
    elif picture[:8] == b"\x89PNG\r\n\x1a\n":
        at = 8 + 25  # behind IHDR, which has to be first
        body = b"tEXtComment\0" + text
        chunk = (len(body) - 4).to_bytes(4) + body + zlib.crc32(body).to_bytes(4)
    else:
        raise InputError("benchmarks.no_comment")
    return picture[:at] + chunk + picture[at:]


@dataclass(frozen=True)
class Answered:
    """One request: when it began and ended (monotonic seconds), and its outcome."""

    began: float
    ended: float
    outcome: str


@dataclass
class Load:
    """Clients that send pictures to one URL.

    Args:
        url: where to post, http only.
        pictures: files' bytes, sent in turn.
        clients: how many send at the same time.
        fresh: open a connection for every request, as many separate people would.
        timeout: of a request, seconds.
        keep_timings: read the ``timing_ms`` of every answer.
    """

    url: str
    pictures: Sequence[bytes]
    clients: int = 1
    fresh: bool = False
    timeout: float = 120.0
    keep_timings: bool = False
    answered: list[Answered] = field(default_factory=list)
    timings: list[dict[str, float]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    _numbers: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        self._host, self._port, self._path = parts.hostname or "", parts.port or 80, parts.path
        # Two runs against one server send different bytes too.
        self._run = f"{os.getpid()}-{time.monotonic_ns()}"

    def start(self, until: float) -> list[threading.Thread]:
        """Start the clients; they send until a time of the monotonic clock, or until stopped."""
        threads = [
            threading.Thread(target=self._client, args=(until,)) for _ in range(self.clients)
        ]
        for thread in threads:
            thread.start()
        return threads

    def body(self) -> bytes:
        """Return the next request's body, unlike any before it."""
        number = next(self._numbers)
        picture = self.pictures[number % len(self.pictures)]
        return HEAD + with_comment(picture, f"{self._run} {number}".encode()) + TAIL

    def once(self) -> Answered:
        """Send one request on a connection of its own."""
        connection = self._connection()
        answered = self._request(connection)
        connection.close()
        return answered

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, self._port, timeout=self.timeout)

    def _client(self, until: float) -> None:
        connection = self._connection()
        while time.monotonic() < until and not self.stopped.is_set():
            if self._request(connection).outcome != OK:
                time.sleep(PAUSE_SECONDS)
        connection.close()

    def _request(self, connection: http.client.HTTPConnection) -> Answered:
        body = self.body()
        # A connection that the server has closed is not used again, as in every HTTP client.
        if connection.sock and select.select([connection.sock], [], [], 0)[0]:
            connection.close()
        began = time.monotonic()
        outcome, content = self._send(connection, body)
        answered = Answered(began, time.monotonic(), outcome)
        # A list takes an item whole, whichever thread appends it.
        self.answered.append(answered)
        if outcome == OK and self.keep_timings:
            self.timings.append(json.loads(content)["timing_ms"])
        return answered

    def _send(self, connection: http.client.HTTPConnection, body: bytes) -> tuple[str, bytes]:
        headers = {**HEADERS, "Connection": "close"} if self.fresh else HEADERS
        try:
            connection.request("POST", self._path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as fault:
            connection.close()
            return type(fault).__name__, b""
        if answer.status == 200 and b'"prediction"' not in content:
            return NO_PREDICTION, content
        return str(answer.status), content


def summary(answered: Sequence[Answered], began: float, ended: float) -> dict[str, Any]:
    """Count all requests, and time those that succeeded between two times."""
    inside = [one for one in answered if began <= one.ended < ended and one.outcome == OK]
    latencies = np.array([one.ended - one.began for one in inside]) * 1000.0
    outcomes = Counter(one.outcome for one in answered)
    return {
        "seconds": ended - began,
        "sent": len(answered),
        "outcomes": dict(sorted(outcomes.items())),
        "answered": len(inside),
        "latencies_ms": [round(float(one), 2) for one in latencies],
    }


class Clock:
    """CPU seconds since it was made: of this process, of a server's processes, of all others."""

    def __init__(self, server: int | None) -> None:
        self._server = server
        self._began = time.monotonic()
        self._at = self._read()

    def _read(self) -> dict[str, float]:
        machine = psutil.cpu_times()
        busy = machine.user + machine.system + getattr(machine, "nice", 0.0)
        server = 0.0
        if self._server is not None:
            main = psutil.Process(self._server)
            for process in (main, *main.children(recursive=True)):
                try:
                    times = process.cpu_times()
                except psutil.NoSuchProcess:
                    continue
                server += times.user + times.system
        return {"client": time.process_time(), "server": server, "machine": busy}

    def cores(self) -> dict[str, float]:
        """Return the cores that each kept busy, on average."""
        seconds = max(1e-3, time.monotonic() - self._began)
        used = {name: (now - self._at[name]) / seconds for name, now in self._read().items()}
        used["others"] = max(0.0, used.pop("machine") - used["client"] - used["server"])
        return {name: round(cores, 3) for name, cores in used.items()}


def main() -> int:
    """Send, wait, and print the summary."""
    make = Parser(__doc__)
    add = make.add_argument
    add("url")
    add("pictures", nargs="+", type=Path, metavar="PICTURE")
    add("--clients", type=int, default=1, help="that send at the same time")
    add("--warm", type=float, default=1.0, help="seconds that are not counted")
    add("--seconds", type=float, default=10.0, help="that are")
    add("--server", type=int, help="process whose CPU time, with its children's, is reported too")
    add("--fresh", action="store_true", help="a new connection for every request")
    add("--timings", action="store_true", help="keep the answers' timing_ms")
    add("--records", action="store_true", help="report every request")
    flags = make.parse_args()
    load = Load(
        flags.url,
        [path.read_bytes() for path in flags.pictures],
        flags.clients,
        fresh=flags.fresh,
        keep_timings=flags.timings,
    )
    began = time.monotonic() + flags.warm
    ended = began + flags.seconds
    # An interrupt ends the run early; what was measured so far is reported.
    signal.signal(signal.SIGINT, lambda *_: load.stopped.set())
    threads = load.start(ended)
    load.stopped.wait(began - time.monotonic())
    clock = Clock(flags.server)
    load.stopped.wait(ended - time.monotonic())
    ended = time.monotonic()
    cores = clock.cores()
    for thread in threads:
        thread.join()
    answer = summary(load.answered, began, ended) | {"clients": flags.clients, "cores": cores}
    if flags.timings:
        answer["timings_ms"] = load.timings
    if flags.records:
        answer["records"] = [[one.began, one.ended, one.outcome] for one in load.answered]
    print(json.dumps(answer))
    return DONE


if __name__ == "__main__":
    run(main)
