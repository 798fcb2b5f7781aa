"""Content negotiation: an HTML page for browsers, JSON for scripts."""

from __future__ import annotations

from flask import Request


def wants_page(request: Request) -> bool:
    """Whether the client prefers ``text/html``: names it, and ranks it above JSON.

    ``*/*`` or no Accept header at all means a script. So does a tie.
    """
    accepted = request.accept_mimetypes
    named = any(kind.lower() == "text/html" and quality > 0 for kind, quality in accepted)
    return named and accepted["text/html"] > accepted["application/json"]
