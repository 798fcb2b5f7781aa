"""Security and cache headers of every response."""

from __future__ import annotations

from flask import Flask, Response, request

# Everything is the site's own: no inline script or style. A page carries its pictures as data: URIs,
# the preview of a chosen file is a blob: URI, and its script sends the form.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": behind TLS, Flask-WTF compares the form's referrer with the host.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

# Static files carry a hash of their content in their address.
CACHE_STATIC = "public, max-age=31536000, immutable"


def register(app: Flask) -> None:
    """Put the headers on every response, the framework's errors among them."""

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.update(HEADERS)
        static = request.endpoint == "static" and response.status_code in (200, 206, 304)
        response.headers["Cache-Control"] = CACHE_STATIC if static else "no-store"
        return response
