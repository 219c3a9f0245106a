"""Mechanisms that a checkpoint is known not to have: expected failures, strictly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pytest

from mmflow_bench.plugin.comparing import expected_verdict
from mmflow_bench.plugin.models import mechanism_of, model_of, task_of
from mmflow_bench.plugin.outcomes import EXPECTED
from mmflow_bench.plugin.run import Run, declaration_of

if TYPE_CHECKING:
    from mmflow_bench.checkpoints.spec import CheckpointSpec


def expect(run: Run, items: Iterable[pytest.Item]) -> None:
    """Mark the tests whose mechanism is known not to hold for the checkpoint.

    By the checkpoint's record, by what the test declares of the paper's, or by the baseline.

    `raises=AssertionError` keeps an undecided mechanism from passing as an expected failure;
    `strict` makes a mechanism that holds all of a sudden fail the run.
    """
    for item in items:
        slug = model_of(item)
        if slug is None:
            continue
        expected, source = _expected(run, item, run.specs[slug])
        if expected:
            item.stash[EXPECTED] = expected
        if expected == "fails":
            name = declaration_of(item).id
            reason = f"{source} says that {name} does not hold for {slug}"
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError))


def _expected(run: Run, item: pytest.Item, spec: CheckpointSpec) -> tuple[str | None, str]:
    """The verdict that is expected of a test, and who says so."""
    declared = declaration_of(item)
    if found := exception_for(spec.exceptions, declared.id, task_of(item)):
        return found, "its record"
    if spec.paper_model in declared.fails_for:
        return "fails", "the paper"
    if mechanism_of(item) is None or run.settings.update_baselines:
        return None, ""
    return expected_verdict(item, run.settings), "its baseline"


def exception_for(exceptions: Mapping[str, str], name: str, task: str | None) -> str | None:
    """The expected verdict of a mechanism, for its task or for all tasks."""
    return exceptions.get(f"{name}[{task}]") or exceptions.get(name)
