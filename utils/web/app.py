"""Turns settings into the web app: an upload page for people, JSON for scripts."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from utils.formats import FORMATS
from utils.inference.certainty import LEAST_SIDE
from utils.inference.predictor import DISCLAIMER
from utils.web import errors, metrics, pages
from utils.web.metrics import Metrics
from utils.web.middleware import logs, security
from utils.web.middleware.body import BodyGuard
from utils.web.predict import csrf, site
from utils.web.secret_key import shared_key
from utils.web.service import PredictorService
from utils.web.settings import WebSettings
from utils.web.uploads import SpoolingRequest, prepare_folder

ROOT = Path(__file__).resolve().parents[2]

# Boundaries, part headers and the token around a file of the largest size.
FORM_OVERHEAD = 2**18


class FractureApp(Flask):
    """Flask with uploads that leave no trace, and a log without them."""

    request_class = SpoolingRequest

    def log_exception(self, exc_info: object) -> None:
        """Log an unforeseen fault without the request's address, which a caller chose."""
        logging.getLogger(__name__).error("unforeseen fault", exc_info=exc_info)  # type: ignore[arg-type]


def create_app(settings: WebSettings) -> Flask:
    """Build the app. Nothing heavy is imported and no model is loaded.

    Args:
        settings: the operator's choices; see ``config.Settings``.

    Returns:
        The WSGI object; ``extensions["reader_service"].reader()`` loads the model.

    Raises:
        SetupError: the upload folder or the secret key cannot be had.
    """
    prepare_folder(settings.upload_folder)
    app = FractureApp(
        "fracture", root_path=str(ROOT), template_folder="templates", static_folder="static"
    )
    app.config.update(
        SECRET_KEY=(
            settings.secret_key.get_secret_value()
            if settings.secret_key is not None
            else shared_key(settings.instance_folder)
        ),
        UPLOAD_FOLDER=settings.upload_folder,
        MAX_UPLOAD_MB=settings.max_upload_mb,
        MAX_CONTENT_LENGTH=settings.limits.max_bytes + FORM_OVERHEAD,
        MAX_FORM_PARTS=8,
        # The parser holds a piece of 64 kB and what is left of the last one: not less than that.
        MAX_FORM_MEMORY_SIZE=2**18,
        SESSION_COOKIE_NAME="fracture_session",
        SESSION_COOKIE_SECURE=settings.cookie_secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=timedelta(hours=12),
        # The route asks for the token itself, of browsers alone. It lasts as long as the session: a page
        # left open over lunch must still work.
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters["percent"] = pages.percent
    counts = app.extensions["metrics"] = Metrics()
    service = app.extensions["reader_service"] = PredictorService(settings, counts)
    csrf.init_app(app)
    logs.register(app)
    metrics.register(app, counts)
    security.register(app)
    errors.register(app)
    app.register_blueprint(site)
    static = ROOT / "static"

    @app.context_processor
    def words() -> dict[str, object]:
        return {
            "asset": lambda name: pages.asset(static, name),
            "disclaimer": DISCLAIMER,
            "formats": [format.title for format in FORMATS.values()],
            "low_resolution": LEAST_SIDE,
            "max_upload_mb": settings.max_upload_mb,
            "max_megapixels": settings.max_megapixels,
            "label_meaning": service.label_meaning,
        }

    guard = BodyGuard(
        app.wsgi_app, seconds=settings.body_seconds, most=4 * app.config["MAX_CONTENT_LENGTH"]
    )
    app.wsgi_app = guard  # type: ignore[method-assign]
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(guard, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    return app
