"""Import of OpenVINO without its telemetry."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from utils.errors import SetupError

# ``import openvino`` imports this package, which reports the import to Google Analytics and writes a
# client id below the home folder unless the user has declined. It converts models of other frameworks, which
# is not needed here, and OpenVINO works without it.
_TELEMETRY = "openvino.tools.ovc"


class EngineUnavailable(SetupError):
    """OpenVINO cannot run on this machine; the bundle is not at fault."""

    code = "engine_unavailable"


def import_openvino() -> Any:
    """Import OpenVINO without the package that sends telemetry.

    Raises:
        EngineUnavailable: it is not installed, or its libraries do not load.
    """
    sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]
    try:
        return importlib.import_module("openvino")
    except (ImportError, OSError) as fault:
        raise EngineUnavailable("inference.openvino_missing", reason=fault) from fault
