"""Mechanisms that a checkpoint is known not to have: expected failures, strictly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from mmflow_bench.plugin.comparing import expected_verdict
from mmflow_bench.plugin.models import mechanism_of, model_of, task_of
from mmflow_bench.plugin.outcomes import EXPECTED
from mmflow_bench.plugin.run import Run


def expect(run: Run, items: Iterable[pytest.Item]) -> None:
    """Mark the tests whose mechanism the checkpoint's record or baseline says does not hold.

    `raises=AssertionError` keeps an undecided mechanism from passing as an expected failure;
    `strict` makes a mechanism that holds all of a sudden fail the run.
    """
    for item in items:
        slug, name = model_of(item), mechanism_of(item)
        if slug is None or name is None:
            continue
        recorded = exception_for(run.specs[slug].exceptions, name, task_of(item))
        baseline = None if run.settings.update_baselines else expected_verdict(item, run.settings)
        expected = recorded or baseline
        if expected:
            item.stash[EXPECTED] = expected
        if expected == "fails":
            source = "its record" if recorded else "its baseline"
            reason = f"{source} says that {name} does not hold for {slug}"
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError))


def exception_for(exceptions: Mapping[str, str], name: str, task: str | None) -> str | None:
    """The expected verdict of a mechanism, for its task or for all tasks."""
    return exceptions.get(f"{name}[{task}]") or exceptions.get(name)
