"""App factory: the Flask app, its settings, blueprints and middleware."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from utils.formats import FORMATS
from utils.inference.input_warnings import LEAST_SIDE
from utils.inference.prediction import disclaimer
from utils.web import errors, health, metrics, pages, predict
from utils.web.middleware import logs, security
from utils.web.middleware.body import BodyGuard
from utils.web.service import PredictorService
from utils.web.uploads import SpoolingRequest, prepare_folder
from utils.web.workers.secret_key import shared_key

if TYPE_CHECKING:
    from config import Settings

ROOT = Path(__file__).resolve().parents[2]

# Boundaries, part headers and the token around a file of the largest size.
FORM_OVERHEAD = 2**18


class FractureApp(Flask):
    """Flask with requests that are spooled without a name, and a log without addresses."""

    request_class = SpoolingRequest

    def log_exception(self, exc_info: object) -> None:
        """Log an unhandled exception without the request's address, which a client chose."""
        logging.getLogger(__name__).error("unhandled exception", exc_info=exc_info)  # type: ignore[arg-type]


def create_app(settings: Settings) -> Flask:
    """Build the app. Nothing heavy is imported; the first ``PredictorService.predictor`` loads the model.

    Raises:
        SetupError: the upload folder or the secret key is unusable.
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
        # The route checks the token itself, of browsers alone. It lasts as long as the session: a page
        # left open over lunch must still work.
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=None,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters["percent"] = pages.percent
    predict.csrf.init_app(app)
    logs.register(app)
    metrics.register(app)
    security.register(app)
    errors.register(app)
    app.register_blueprint(predict.blueprint)
    app.register_blueprint(health.blueprint)
    service = app.extensions["predictor_service"] = PredictorService(
        settings, app.extensions["metrics"]
    )
    static = ROOT / "static"

    @app.context_processor
    def template_variables() -> dict[str, object]:
        return {
            "asset": lambda name: pages.asset(static, name),
            "disclaimer": disclaimer(),
            "formats": [format.title for format in FORMATS.values()],
            "low_resolution": LEAST_SIDE,
            "max_upload_mb": settings.max_upload_mb,
            "max_megapixels": settings.max_megapixels,
            "label_meaning": service.label_meaning,
            "regions": service.regions,
        }

    drain_limit = 4 * app.config["MAX_CONTENT_LENGTH"]
    guard = BodyGuard(app.wsgi_app, seconds=settings.body_seconds, drain_limit=drain_limit)
    app.wsgi_app = guard  # type: ignore[method-assign]
    if hops := settings.trusted_proxies:
        app.wsgi_app = ProxyFix(guard, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    return app
