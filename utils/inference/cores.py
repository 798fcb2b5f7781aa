"""How many processor cores this process may use: by affinity, and by a container's quota."""

from __future__ import annotations

import math
import os
from pathlib import Path

# Version 2 of control groups, as a container sees its own group; version 1 beside it.
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_OLD_QUOTA = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
_OLD_PERIOD = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")


def usable_cores() -> int:
    """Return the number of cores, at least 1; a quota of one and a half counts as two.

    ``os.cpu_count`` names the machine's. A process that starts as many threads as that under a
    container's quota of two cores is stopped for most of each period.
    """
    by_affinity = getattr(os, "sched_getaffinity", None)
    allowed = len(by_affinity(0)) if by_affinity else os.cpu_count() or 1
    quota = _quota()
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def _quota() -> float | None:
    """Return the container's quota in cores, None where there is none."""
    try:
        if _QUOTA.is_file():
            limit, period = _QUOTA.read_text().split()
        else:
            limit, period = _OLD_QUOTA.read_text().strip(), _OLD_PERIOD.read_text().strip()
        return int(limit) / int(period) if limit != "max" and int(limit) > 0 else None
    except (OSError, ValueError):
        return None
