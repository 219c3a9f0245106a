"""What benchmarks say of where they ran, and how much memory they took."""

from __future__ import annotations

import platform
from importlib import metadata, util
from pathlib import Path

VERSIONED = ("torch", "transformers", "numpy", "pyarrow", "nnsight")


def machine() -> dict[str, object]:
    """The processor, and the versions of what the time goes into."""
    return {
        "processor": _processor(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in VERSIONED if util.find_spec(name)},
    }


def resident(name: str) -> int:
    """Bytes of memory of this process, as Linux counts them: VmRSS now, VmHWM at most so far."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _processor() -> str:
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8").splitlines() if known.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
