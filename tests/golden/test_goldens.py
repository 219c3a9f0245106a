"""Verdicts, tables, messages and exit codes are those that users have seen so far.

See conftest.py for how to write the goldens anew.
"""

from __future__ import annotations

import pytest

SAMPLES = "--limit=1-3"
"""Two samples of two images, which decide nearly every verdict on a planted checkpoint."""
ONE_TASK = ("--tasks=ChooseAttr", SAMPLES, "--no-self-test")
RUNS = {
    "base": (SAMPLES, "--no-twins"),
    "no-stage-1": ONE_TASK,
    "no-stage-2": ONE_TASK,
    "order-reversed": ONE_TASK,
    "swapped": ("--tasks=QueryAttr", SAMPLES, "--no-self-test"),
    "direct": ONE_TASK,
    "sink-trap": ONE_TASK,
    "backup-head": ONE_TASK,
    "no-lower": ONE_TASK,
    "lens-mode": ("--tasks=CompareAttr", SAMPLES, "--no-self-test"),
    "tiled": ("--tasks=ChooseAttr", SAMPLES),
    "grouped-query": ("--tasks=ChooseRel", SAMPLES),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_verdicts_on_a_planted_checkpoint(name, run_pytest, golden):
    ended = run_pytest("suites/", f"--model=planted/{name}", *RUNS[name])
    golden(f"run-{name}", ended.lines())
