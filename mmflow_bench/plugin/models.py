"""Which checkpoint, task and mechanism a test is about, as pytest knows it."""

from __future__ import annotations

import pytest

ALL_TASKS = "all"
"""What stands for the task of a statement across tasks."""
MODEL_FIXTURE = "mmflow_measurements"
"""The session fixture that is parametrised with the slug of each checkpoint."""


def parametrize(metafunc: pytest.Metafunc, slugs: list[str]) -> None:
    """One instance of the test for each checkpoint, whose slug comes first in the test id."""
    metafunc.parametrize(MODEL_FIXTURE, slugs, ids=slugs, indirect=True, scope="session")


def model_of(item: pytest.Item) -> str | None:
    """The slug that a test was parametrised with, or None for a test of something else."""
    callspec = getattr(item, "callspec", None)
    slug = callspec.params.get(MODEL_FIXTURE) if callspec else None
    return slug if isinstance(slug, str) else None


def task_of(item: pytest.Item) -> str | None:
    """The task that a test was parametrised with, or None for a statement across tasks."""
    callspec = getattr(item, "callspec", None)
    task = callspec.params.get("task") if callspec else None
    return str(task) if task is not None else None


def function_of(item: pytest.Item) -> str:
    """The name of a test's function, without its parameters."""
    return str(getattr(item, "originalname", None) or item.name)


def mechanism_of(item: pytest.Item) -> str | None:
    """The id of the mechanism that a test decides, or None when it names none."""
    # A closer marker without an id declares something else of the same mechanism.
    ids = (marker.args[0] for marker in item.iter_markers("mechanism") if marker.args)
    return next(map(str, ids), None)
