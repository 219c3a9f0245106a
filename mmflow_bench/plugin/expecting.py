"""Mechanisms that a checkpoint is known not to have: expected failures, strictly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pytest

from mmflow_bench.plugin.golden import expected_verdict
from mmflow_bench.plugin.models import mechanism_of, model_of, task_of
from mmflow_bench.plugin.run import Run


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is known of a mechanism before its test has run."""

    verdict: str
    reason: str
    """Who says so."""


EXPECTED = pytest.StashKey[Expectation]()


def expect(run: Run, items: Iterable[pytest.Item]) -> None:
    """Note what the checkpoint's record or baseline says of the mechanism of each test."""
    for item in items:
        slug, name = model_of(item), mechanism_of(item)
        if slug is None or name is None:
            continue
        recorded = exception_for(run.specs[slug].exceptions, name, task_of(item))
        # An update is there to replace what the baseline says.
        baseline = None if run.settings.update_baselines else expected_verdict(item, run)
        if expected := recorded or baseline:
            source = "its record" if recorded else "its baseline"
            reason = f"{source} says that {name} does not hold for {slug}"
            item.stash[EXPECTED] = Expectation(expected, reason)


def exception_for(exceptions: Mapping[str, str], name: str, task: str | None) -> str | None:
    """The expected verdict of a mechanism, for its task or for all tasks."""
    return exceptions.get(f"{name}[{task}]") or exceptions.get(name)
