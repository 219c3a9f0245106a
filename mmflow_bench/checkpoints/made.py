"""Where checkpoints are kept that a program makes: in the user's cache, beside measurements."""

from __future__ import annotations

import os
from pathlib import Path


def folder_of_made() -> Path:
    """The folder; it may not be there yet."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    root = os.environ.get("MMFLOW_CACHE")
    # It may be the URL of a store, which keeps no checkpoints.
    folder = Path(base) / "mmflow-bench" if not root or "://" in root else Path(root)
    return folder / "checkpoints"
