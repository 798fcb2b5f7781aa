"""Web app: ``app`` for a WSGI server, and ``python app.py`` to serve it on this machine."""

from __future__ import annotations

import argparse
import errno
import socket
import sys

from flask import Flask

from config import Settings, read_settings, unknown_variables
from utils.cli import INTERRUPTED, SETUP_FAULT, Parser, run
from utils.errors import SetupError
from utils.web.app import create_app
from utils.web.middleware.logs import configure


def build(settings: Settings) -> Flask:
    """Set up the log, create the app, and log the variables that look like settings but are none."""
    configure(settings.log_level)
    built = create_app(settings)
    for name in unknown_variables():
        built.logger.warning("%s is no setting; docs/operations.md lists them", name)
    return built


try:
    settings = read_settings()
    app = build(settings)
except SetupError as error:
    print(f"error: {error}", file=sys.stderr)
    # This status also makes gunicorn stop, where it would start a failing worker again and again.
    raise SystemExit(SETUP_FAULT) from None


def port(text: str) -> int:
    """Parse a port; 0 leaves the choice to the system."""
    if text.isdecimal() and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port; give a whole number, 0 to 65535")


def listen(host: str, number: int) -> socket.socket:
    """Listen before the model is loaded; requests that come meanwhile wait.

    Raises:
        SetupError: the address is in use, or none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, number), family=family, backlog=128)
    except (OSError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise SetupError("web.port_taken", host=host, port=number) from error
        # Python adds to the reason what it tried, which is in the sentence already.
        reason = str(getattr(error, "strerror", None) or error).partition(" (while ")[0]
        raise SetupError("web.cannot_listen", host=host, port=number, reason=reason) from error


def main() -> int:
    """Load the model, then serve until interrupted."""
    parser = Parser(
        "Serve the fracture detector on this machine; docs/operations.md lists the FRACTURE_* "
        "settings, and gunicorn is what serves others."
    )
    parser.add_argument("--host", default=settings.host, help="address to listen on")
    parser.add_argument("--port", default=settings.port, type=port, help="port; 0 is any free one")
    args = parser.parse_args()

    from werkzeug.serving import make_server

    from utils.web.workers.raw_errors import JsonErrorHandler

    with listen(args.host, args.port) as listening:
        number = listening.getsockname()[1]
        app.extensions["predictor_service"].predictor()
        server = make_server(
            args.host,
            number,
            app,
            threaded=True,
            request_handler=JsonErrorHandler,
            fd=listening.fileno(),
        )
        print(f"serving on http://{args.host}:{number} (Ctrl-C stops)", file=sys.stderr)
        # Returns only when it is interrupted.
        server.serve_forever()
    return INTERRUPTED


if __name__ == "__main__":
    run(main)
