"""A local package index of hand-made wheels, and a lock of some of them."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def add_wheel(index: Path, name: str, version: str, *metadata: str) -> str:
    """Add an empty package to an index and return the line that pins it in a lock.

    Args:
        index: folder of the index; one folder a package, as PEP 503 lays it out.
        name: of the package, lower case letters only.
        version: of the release.
        metadata: further lines of its METADATA, such as ``Requires-Dist: other[extra]``.
    """
    info = f"{name}-{version}.dist-info"
    head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    content = {
        f"{name}.py": "",
        f"{info}/METADATA": "\n".join([*head, *metadata, ""]),
        f"{info}/WHEEL": WHEEL,
    }
    record = f"{info}/RECORD"
    content[record] = "".join(f"{path},,\n" for path in (*content, record))
    wheel = index / name / f"{name}-{version}-py3-none-any.whl"
    wheel.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in content.items():
            archive.writestr(path, text)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    with (wheel.parent / "index.html").open("a") as page:
        page.write(f'<a href="{wheel.name}#sha256={digest}">{wheel.name}</a>\n')
    return f"{name}=={version} \\\n    --hash=sha256:{digest}\n"


def pip_environment(index: Path) -> dict[str, str]:
    """Return the environment in which pip knows this index alone."""
    cleared = {name: "" for name in os.environ if name.startswith("PIP_")}
    return {**cleared, "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index.as_uri()}
