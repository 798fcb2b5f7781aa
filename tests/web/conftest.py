"""Fixtures of the web tests."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.support.serving import shared_app


@pytest.fixture
def client() -> FlaskClient:
    """A client of the shared app, which has a model."""
    return shared_app().test_client()
