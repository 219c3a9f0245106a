"""Rows on paths hold on the base and are killed by a checkpoint that lacks what they say."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from many_images import of_many

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.mechanisms.comparisons import Recorder, current_recorder
from mmflow_bench.mechanisms.declared import mechanisms, shipped
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.verdicts import NotApplicable, Undecided, Verdict

pytestmark = pytest.mark.slow

TASK = "ChooseAttr"
ROWS = {
    test.declaration.id: test.function
    for test in shipped()
    if test.declaration.section == "beyond the paper, paths"
}
DECIDED = ("x-closure", "x-sufficiency", "x-eoi-gate", "x-eoi-gate-newline")
REPORTED = [name for name in ROWS if name not in DECIDED]


@cache
def flow(name: str) -> Flow:
    settings: dict[str, Any] = {"limit": "1-3", "tasks": (TASK,), "self_test": False}
    spec = resolve_checkpoint(f"planted/{name}")
    # Few images show nothing of those that were not looked at.
    return Flow(of_many(Measurements.open(spec, MeasurementSettings(**settings))))


def verdict(row: str, name: str) -> tuple[Verdict, float]:
    """The verdict on a checkpoint, and the number that it rests on."""
    recorder = Recorder()
    token = current_recorder.set(recorder)
    try:
        ROWS[row](flow=flow(name), task=TASK)
        found = Verdict.HOLDS
    except AssertionError:
        found = Verdict.FAILS
    except Undecided as ending:
        found = ending.verdict
    finally:
        current_recorder.reset(token)
    decisive = recorder.deciding
    return found, decisive.estimate.value if decisive is not None else float("nan")


@pytest.mark.parametrize("row", ["x-closure", "x-eoi-gate"])
def test_a_row_holds_on_the_base(row: str) -> None:
    assert verdict(row, "base")[0] is Verdict.HOLDS


def test_a_base_that_reads_beyond_the_middle_layers_is_near_the_threshold() -> None:
    found, value = verdict("x-sufficiency", "base")
    assert found is Verdict.INCONCLUSIVE
    # Seventeen of the twenty-one layers in which the last position reads are middle ones.
    assert value == pytest.approx(17 / 21, abs=1e-3)


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ("x-closure", "no-stage-1"),
        ("x-closure", "narrow-gate"),
        ("x-sufficiency", "direct"),
        ("x-sufficiency", "late-stage-2"),
        ("x-sufficiency", "narrow-gate"),
        ("x-sufficiency", "order-reversed"),
        ("x-eoi-gate", "narrow-gate"),
        ("x-eoi-gate", "no-stage-1"),
        ("x-eoi-gate-newline", "row-ends"),
    ],
)
def test_a_row_is_killed_where_its_mechanism_is_taken_out(row: str, name: str) -> None:
    assert verdict(row, name)[0] is Verdict.FAILS


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ("x-sufficiency", "middle-readout"),
        ("x-closure", "direct"),
        ("x-eoi-gate", "direct"),
        ("x-eoi-gate-newline", "tiled"),
    ],
)
def test_a_row_holds_where_something_else_is_taken_out(row: str, name: str) -> None:
    assert verdict(row, name)[0] is Verdict.HOLDS


def test_without_rows_of_tiles_there_are_no_line_breaks_to_ask_about() -> None:
    assert verdict("x-eoi-gate-newline", "base")[0] is NotApplicable.verdict


@pytest.mark.parametrize(
    ("row", "base", "name", "other"),
    [
        ("x-intra-image-low", 0.0, "mixed-image", -0.964),
        ("x-intra-related-low", 0.0, "mixed-image", -0.21),
        ("x-backpatch-probability", 0.0, "late-image", 0.016),
    ],
)
def test_what_is_reported_differs_where_the_checkpoint_does(
    row: str, base: float, name: str, other: float
) -> None:
    for checkpoint, expected in (("base", base), (name, other)):
        found, value = verdict(row, checkpoint)
        assert found is Verdict.REPORT
        assert value == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("row", REPORTED)
def test_every_observation_is_made_on_the_base(row: str) -> None:
    found, value = verdict(row, "base")
    assert found is Verdict.REPORT
    assert abs(value) < 1e-4 or row == "x-head-sparsity"


def test_all_are_asked_in_the_largest_selection_only() -> None:
    found = {one.id: one.suite for one in mechanisms(shipped()) if one.id in ROWS}
    assert set(found) == set(ROWS)
    assert set(found.values()) == {"all"}
