"""Which checkpoints a run is about: their specs, and the test parameter that stands for each."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from mmflow_bench.checkpoints.settings import resolve_spec
from mmflow_bench.errors import MMFlowError

if TYPE_CHECKING:
    from mmflow_bench.checkpoints.spec import CheckpointSpec
    from mmflow_bench.plugin.settings import Settings

MODEL_FIXTURE = "mmflow_measurements"
"""The session fixture that is parametrised with the slug of each checkpoint."""


def resolve_specs(settings: Settings) -> dict[str, CheckpointSpec]:
    """Slug -> spec of every checkpoint of the run; reads no weights.

    Raises:
        pytest.UsageError: A checkpoint is not known or not there.
    """
    try:
        return {
            slug: resolve_spec(model, settings.checkpoint) for slug, model in settings.slugs.items()
        }
    except MMFlowError as error:
        raise pytest.UsageError(str(error)) from error


def refuse_moved_rootdir(config: pytest.Config) -> None:
    """Refuse `--model FOLDER` where it makes pytest lose the ini file.

    pytest takes the folder for a test path: the rootdir moves to the common ancestor, the ini file
    is silently dropped, and the tests run with other settings. `--model=FOLDER` is safe.

    Raises:
        pytest.UsageError: That has happened.
    """
    arguments = config.invocation_params.args
    for name, value in pairwise(arguments):
        if name == "--model" and config.inipath is None and os.path.exists(str(value)):
            raise pytest.UsageError(
                f"a model folder written `--model={value}`, got `--model {value}`; with a space "
                "pytest takes the folder for a test path and loses the ini file of the project"
            )


def parametrize(metafunc: pytest.Metafunc, slugs: list[str]) -> None:
    """One instance of the test for each checkpoint, whose slug comes first in the test id."""
    if MODEL_FIXTURE in metafunc.fixturenames:
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
    marker = item.get_closest_marker("mechanism")
    return str(marker.args[0]) if marker and marker.args else None
