"""Where a run took place: versions and machine, without importing what they belong to."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

PACKAGES = ("mmflow-bench", "torch", "transformers", "numpy", "scipy", "pytest")


def environment() -> dict[str, object]:
    """Versions of what moves a number, and the machine."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "executable": sys.executable,
        "packages": {name: version(name) for name in PACKAGES},
    }


def version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
