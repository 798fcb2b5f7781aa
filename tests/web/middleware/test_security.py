"""Security and cache headers."""

from __future__ import annotations

import re

import pytest

from tests.support.serving import PAGE, radiograph, send

TEXT = b"Dear colleague, please find enclosed."


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/predict", 302),
        ("POST", "/predict", 400),
        ("GET", "/readyz", 200),
        ("GET", "/healthz", 200),
        ("GET", "/nothing", 404),
        ("PUT", "/predict", 405),
    ],
)
@pytest.mark.parametrize("headers", [{}, PAGE], ids=["script", "browser"])
def test_every_response_has_the_security_headers(client, method, path, status, headers):
    answer = client.open(path, method=method, headers=headers)
    assert answer.status_code == status
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "camera=()" in answer.headers["Permissions-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_static_files_are_cached_by_their_hash(client):
    address = re.search(r'href="(/static/style.css\?v=[0-9a-f]{12})"', client.get("/").text)[1]
    answer = client.get(address)
    assert answer.status_code == 200
    assert "immutable" in answer.headers["Cache-Control"]
    assert client.get("/static/none.css").headers["Cache-Control"] == "no-store"


def test_no_page_holds_an_inline_script_or_style(client):
    pages = [
        client.get("/").text,
        client.get("/nothing", headers=PAGE).text,
        send(client, radiograph(), page=True).text,
        send(client, TEXT, page=True).text,
    ]
    for page in pages:
        assert "style=" not in page
        assert "<style" not in page
        assert not re.search(r"\son\w+=", page)
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))
