"""The machine of a benchmark: processor, memory, versions, load by other programs."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

# Cores that other programs may keep busy before the figures count as disturbed.
DISTURBED = 0.1
PACKAGES = ("openvino", "tensorflow", "keras", "opencv-python-headless", "gunicorn", "flask")


def facts() -> dict[str, Any]:
    """Return the machine's description for the documents."""
    return {
        "processor": _processor(),
        "cores": psutil.cpu_count() or 0,
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "busy_before": round(psutil.cpu_percent(1.0) / 100 * (psutil.cpu_count() or 1), 2),
        "when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "load_average": [round(one, 2) for one in os.getloadavg()],
    }


def _processor() -> str:
    """Return the processor's name, with its vector extensions where Linux lists them."""
    described = Path("/proc/cpuinfo")
    if not described.is_file():
        return platform.processor() or "unknown"
    lines = dict(
        [part.strip() for part in line.split(":", 1)]
        for line in described.read_text().split("\n\n")[0].splitlines()
        if ":" in line
    )
    flags = set(lines.get("flags", "").split())
    able = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    name = lines.get("model name", "unknown")
    family = ", ".join(f"{key} {lines[key]}" for key in ("cpu family", "model") if key in lines)
    return f"{name} ({'; '.join(filter(None, (family, ' '.join(able))))})"


def as_markdown(machine: dict[str, Any]) -> str:
    """Return one paragraph about the machine."""
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    return (
        f"{machine['when']}, {machine['processor']}, {machine['cores']} cores, "
        f"{machine['memory_gib']} GiB of memory, {machine['system']}, Python {machine['python']}, "
        f"{packages}. Other programs kept {machine['busy_before']} cores busy just before."
    )
