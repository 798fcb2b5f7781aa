"""App factory: cookies, proxies."""

from __future__ import annotations

from tests.support.serving import settings
from utils.web.app import create_app


def test_the_cookie_is_http_only_and_secure(tmp_path):
    client = create_app(settings(tmp_path, cookie_secure=True)).test_client()
    cookie = client.get("/").headers["Set-Cookie"]
    assert {"HttpOnly", "Secure", "SameSite=Lax"} <= set(cookie.split("; "))


def test_headers_of_a_trusted_proxy_are_believed(tmp_path):
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "reader.example"}
    address = "https://reader.example/predict"
    for proxies, believed in ((1, True), (0, False)):
        client = create_app(settings(tmp_path, trusted_proxies=proxies)).test_client()
        assert (address in client.get("/", headers=forwarded).text) is believed
