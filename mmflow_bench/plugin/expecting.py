"""Mechanisms that a checkpoint is known not to have: expected failures, strictly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pytest

from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.plugin.golden import expected_verdict
from mmflow_bench.plugin.models import mechanism_of, model_of, task_of
from mmflow_bench.plugin.run import Run, declaration_of


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is known of a mechanism before its test has run."""

    verdict: str
    reason: str
    """Who says so."""


EXPECTED = pytest.StashKey[Expectation]()


def expect(run: Run, items: Iterable[pytest.Item]) -> None:
    """Note what is known of the mechanism of each test.

    By the checkpoint's record, by what the test declares of the paper's, or by the baseline.
    """
    for item in items:
        slug = model_of(item)
        if slug is None:
            continue
        expected, source = _expected(run, item, run.specs[slug])
        if expected:
            name = declaration_of(item).id
            reason = f"{source} says that {name} does not hold for {slug}"
            item.stash[EXPECTED] = Expectation(expected, reason)


def _expected(run: Run, item: pytest.Item, spec: CheckpointSpec) -> tuple[str | None, str]:
    """The verdict that is expected of a test, and who says so."""
    declared = declaration_of(item)
    if found := exception_for(spec.exceptions, declared.id, task_of(item)):
        return found, "its record"
    if spec.paper_model in declared.fails_for:
        return "fails", "the paper"
    # An update is there to replace what the baseline says.
    if mechanism_of(item) is None or run.settings.update_baselines:
        return None, ""
    return expected_verdict(item, run), "its baseline"


def exception_for(exceptions: Mapping[str, str], name: str, task: str | None) -> str | None:
    """The expected verdict of a mechanism, for its task or for all tasks."""
    return exceptions.get(f"{name}[{task}]") or exceptions.get(name)
