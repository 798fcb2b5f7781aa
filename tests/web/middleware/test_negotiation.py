"""Content negotiation."""

from __future__ import annotations

import pytest

from tests.support.serving import PAGE, shared_app
from utils.web.middleware.negotiation import wants_page


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        (None, False),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/html", False),
        ("text/html;q=0.5, application/json", False),
        ("text/html;q=0, */*", False),
        ("image/*, */*;q=0.1", False),
        ("text/html", True),
        ("TEXT/HTML", True),
        ("text/html, */*;q=0.1", True),
        (PAGE["Accept"], True),
    ],
)
def test_a_page_goes_to_clients_that_prefer_html(accept, page):
    headers = {} if accept is None else {"Accept": accept}
    with shared_app().test_request_context(headers=headers) as context:
        assert wants_page(context.request) is page
