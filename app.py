"""The web app: `app` for a WSGI server, and `python app.py` to serve it on this machine."""

from __future__ import annotations

import argparse
import sys

from flask import Flask

from config import Settings, read_settings, unknown_variables
from utils.errors import SetupError
from utils.web import create_app
from utils.web.logs import configure


def build(settings: Settings) -> Flask:
    """Set up the log, make the app, and name the variables that look like settings but are none."""
    configure(settings.log_level)
    built = create_app(settings)
    for name in unknown_variables():
        built.logger.warning("%s is no setting; docs/operations.md lists them", name)
    return built


def _leave(fault: SetupError) -> SystemExit:
    print(f"error: {fault}", file=sys.stderr)
    # 3 also makes gunicorn stop, where it would start a failing worker again and again otherwise.
    return SystemExit(3)


try:
    settings = read_settings()
    app = build(settings)
except SetupError as fault:
    raise _leave(fault) from None


def main() -> None:
    """Load the model, then serve until interrupted."""
    parser = argparse.ArgumentParser(
        description="Serve the fracture detector on this machine; docs/operations.md lists the "
        "FRACTURE_* settings, and gunicorn is what serves others."
    )
    parser.add_argument("--host", default=settings.host, help="address to listen on (%(default)s)")
    parser.add_argument("--port", default=settings.port, type=int, help="port (%(default)s)")
    args = parser.parse_args()

    from werkzeug.serving import make_server

    try:
        app.extensions["reader_service"].reader()
    except SetupError as fault:
        raise _leave(fault) from None
    try:
        server = make_server(args.host, args.port, app, threaded=True)
    except SystemExit:
        # Werkzeug has said on stderr that the port is taken.
        raise SystemExit(3) from None
    print(f"serving on http://{args.host}:{server.server_port} (Ctrl-C stops)", file=sys.stderr)
    server.serve_forever()
    # It returns when it is interrupted, and only then.
    raise SystemExit(130)


if __name__ == "__main__":
    main()
