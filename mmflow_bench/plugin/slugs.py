"""Short names of checkpoints, for test ids and folders."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path


def slug(model: str) -> str:
    """A model's name in test ids and folders: no separator that ids are split at.

    >>> slug("planted/base"), slug("./runs/my-finetune/")
    ('planted_base', 'my_finetune')
    """
    path = Path(model).expanduser()
    name = path.resolve().name if model.startswith((".", "/", "~")) or path.exists() else model
    return re.sub(r"[^A-Za-z0-9.]+", "_", name).strip("_.") or "model"


def model_slugs(models: Sequence[str]) -> dict[str, str]:
    """Slug -> model; a folder whose name is taken gets a hash of its path."""
    slugs: dict[str, str] = {}
    for model in models:
        short = slug(model)
        if short in slugs and slugs[short] != model:
            short = f"{short}_{hashlib.sha256(model.encode()).hexdigest()[:6]}"
        slugs[short] = model
    return slugs
