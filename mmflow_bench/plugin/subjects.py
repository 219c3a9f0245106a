"""What a run is about: its checkpoints, and what they are compared with; reads no weights."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from mmflow_bench.baselines.golden import packaged_root
from mmflow_bench.baselines.sources import Source, find_source
from mmflow_bench.checkpoints.settings import resolve_spec
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.errors import MMFlowError
from mmflow_bench.plugin.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedBaseline:
    """What checkpoints are compared with, sample by sample."""

    source: Source
    spec: CheckpointSpec | None = None
    """Of a checkpoint that has to be measured too."""


def resolve_specs(settings: Settings) -> dict[str, CheckpointSpec]:
    """Slug -> spec of every checkpoint of the run.

    Raises:
        pytest.UsageError: A checkpoint is not known or not there.
    """
    try:
        return {
            slug: resolve_spec(model, settings.checkpoint) for slug, model in settings.slugs.items()
        }
    except MMFlowError as error:
        raise pytest.UsageError(str(error)) from error


def resolve_baseline(
    settings: Settings, config: pytest.Config, notice: Callable[[str], None]
) -> PairedBaseline | None:
    """What `--baseline` names.

    None without the option, and, with a notice, where --baseline-missing says that there may be
    none yet.

    Raises:
        pytest.UsageError: There is no such baseline, and there has to be.
    """
    if settings.baseline is None:
        return None
    try:
        source = find_source(
            settings.baseline,
            roots=baseline_roots(settings, config),
            start=config.invocation_params.dir,
            offline=settings.checkpoint.offline,
        )
        spec = (
            resolve_spec(source.name, settings.checkpoint) if source.kind == "checkpoint" else None
        )
    except MMFlowError as error:
        if settings.is_missing_explicit and settings.baseline_missing != "fail":
            notice(f"baseline: {settings.baseline} is not there yet; not compared ({error})")
            return None
        raise pytest.UsageError(
            f"--baseline={settings.baseline}: {error}. --baseline-missing=new lets a run pass "
            "that has none yet"
        ) from error
    return PairedBaseline(source=source, spec=spec)


def baseline_roots(settings: Settings, config: pytest.Config) -> tuple[Path, ...]:
    """Folders that baselines are looked for in; they are written to the first."""
    return (settings.baselines or config.rootpath / "baselines", packaged_root())


def refuse_moved_rootdir(config: pytest.Config) -> None:
    """Refuse `--model FOLDER` where it makes pytest lose the ini file.

    pytest takes the folder for a test path: the rootdir moves to the common ancestor, the ini file
    is silently dropped, and the tests run with other settings. `--model=FOLDER` is safe.

    Raises:
        pytest.UsageError: That has happened.
    """
    for name, value in pairwise(config.invocation_params.args):
        if name == "--model" and config.inipath is None and os.path.exists(str(value)):
            raise pytest.UsageError(
                f"a model folder written `--model={value}`, got `--model {value}`; with a space "
                "pytest takes the folder for a test path and loses the ini file of the project"
            )
