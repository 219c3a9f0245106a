"""Which checkpoint, task and mechanism one of pytest's items is about."""

from __future__ import annotations

import pytest

MODEL_FIXTURE = "mmflow_measurements"
"""The session fixture that is parametrised with the slug of each checkpoint."""


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
