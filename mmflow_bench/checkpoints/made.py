"""Folders in the user's cache: that of measurements, and of checkpoints that a program makes."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """$MMFLOW_CACHE where it names a folder, else `mmflow-bench` in the user's cache folder."""
    chosen = os.environ.get("MMFLOW_CACHE")
    # It may be the URL of a store, in front of which a folder lies in the usual place.
    if chosen and "://" not in chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mmflow-bench"


def folder_of_made() -> Path:
    """Where checkpoints are kept that were made; it may not be there yet."""
    return cache_folder() / "checkpoints"
