"""Error responses of ``python app.py`` to requests that cannot be parsed."""

from __future__ import annotations

import json
import logging

import pytest

from tests.support.serving import exchange, listen, settings
from utils.web.app import create_app
from utils.web.middleware.security import HEADERS
from utils.web.workers.raw_errors import JsonErrorHandler


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"schmidt\r\n\r\n", 400),
        (b"GET /schmidt HTTP/schmidt\r\n\r\n", 400),
        # As much as the server reads of a line, and no more: what is left unread would reset the connection.
        ((b"GET /schmidt").ljust(65_537, b"a"), 414),
        (b"GET / HTTP/1.1\r\n" + b"Cookie: schmidt".ljust(65_537, b"a"), 431),
    ],
    ids=["line", "version", "address", "header"],
)
def test_app_py_has_the_same_raw_errors(tmp_path, caplog, capfd, sent, status):
    caplog.set_level(logging.DEBUG)
    with listen(create_app(settings(tmp_path)), request_handler=JsonErrorHandler) as url:
        ((given, headers, body),) = exchange(int(url.rsplit(":", 1)[1]), sent)
    assert given == status
    assert headers["content-type"] == "application/json"
    assert {name: headers[name.lower()] for name in HEADERS} == HEADERS
    assert set(json.loads(body)["error"]) == {"code", "message"}
    assert "schmidt" not in (body.decode() + caplog.text + "".join(capfd.readouterr())).lower()
