"""Which checkpoint, task and mechanism a test is about: in pytest's items, and in names."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

MODEL_FIXTURE = "mmflow_measurements"
"""The session fixture that is parametrised with the slug of each checkpoint."""
LONGEST_SLUG = 100
"""Characters of a checkpoint's name in the name of its run folder."""


def model_of(item: pytest.Item) -> str | None:
    """The slug that a test was parametrised with, or None for a test of something else."""
    slug = _parameter(item, MODEL_FIXTURE)
    return slug if isinstance(slug, str) else None


def task_of(item: pytest.Item) -> str | None:
    """The task that a test was parametrised with, or None for a statement across tasks."""
    task = _parameter(item, "task")
    return str(task) if task is not None else None


def _parameter(item: pytest.Item, name: str) -> object:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get(name) if callspec else None


def mechanism_of(item: pytest.Item) -> str | None:
    """The id of the mechanism that a test decides, or None when it names none."""
    # A closer marker without an id declares something else of the same mechanism.
    ids = (marker.args[0] for marker in item.iter_markers("mechanism") if marker.args)
    return next(map(str, ids), None)


def slug(model: str) -> str:
    """A model's name in test ids and folders: no separator that ids are split at.

    >>> slug("planted/base"), slug("./runs/my-finetune/")
    ('planted_base', 'my_finetune')
    """
    path = Path(os.path.expanduser(model))
    # Path.exists raises for a name that is longer than names of files may be.
    is_path = model.startswith((".", "/", "~")) or os.path.exists(path)
    name = Path(os.path.realpath(path)).name if is_path else model
    plain = re.sub(r"[^A-Za-z0-9.]+", "_", name).strip("_.") or "model"
    if len(plain) <= LONGEST_SLUG:
        return plain
    # With time and id around it, a folder's name must stay below 255 bytes.
    return f"{plain[:LONGEST_SLUG]}_{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:6]}"


def model_slugs(models: Sequence[str]) -> dict[str, str]:
    """Slug -> model; a folder whose name is taken gets a hash of its path."""
    slugs: dict[str, str] = {}
    for model in models:
        short = slug(model)
        if short in slugs and slugs[short] != model:
            short = f"{short}_{hashlib.sha256(model.encode()).hexdigest()[:6]}"
        slugs[short] = model
    return slugs
