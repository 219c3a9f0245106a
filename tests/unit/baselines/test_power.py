"""What comparisons and verdicts could have seen, from numbers that are known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mmflow_bench.baselines.paired_comparison import compare_runs
from mmflow_bench.baselines.paired_records import (
    BaselineComparison,
    ComparedRow,
    TaskPairs,
    read_comparison,
)
from mmflow_bench.baselines.power import power_of_comparison
from mmflow_bench.baselines.tolerances import DEFAULTS
from mmflow_bench.baselines.verdict_power import power_of_rows
from mmflow_bench.reports.power_table import (
    comparison_could_have_seen,
    could_have_seen,
    needed,
    render_power,
)
from mmflow_bench.runs.rows import MechanismRow
from mmflow_bench.statistics.power import (
    chance_of_unchanged,
    images_for_unchanged,
    smallest_change,
    unseen_share,
)


def compared_row(spread: float, images: int = 60, **values) -> ComparedRow:
    known = {
        "id": "q-last-drop",
        "task": "ChooseAttr",
        "verdict": "unchanged",
        "reading": "peak",
        "unit": "fraction",
        "low": -0.1,
        "high": 0.1,
        "error": spread / images**0.5,
        "margin": 0.1,
        "n": images,
        "images": images,
        "p_changed": 1.0,
    }
    return ComparedRow(**(known | values))


def comparison(*rows: ComparedRow, **values) -> BaselineComparison:
    known = {"base": "b", "name": "a", "kind": "paired", "alpha": 0.05, "tolerance": DEFAULTS}
    return BaselineComparison(**(known | values), rows=rows)


def test_a_comparison_keeps_the_standard_error_of_its_difference(made):
    found = compare_runs(
        made(noise=0.2), made(noise=0.2, seed=1), tolerance=dict(DEFAULTS), alpha=0.05
    )
    row = next(row for row in found.rows if row.id == "q-last-drop")
    known = [made(noise=0.2, seed=seed).sweeps["ChooseAttr", "question->last"] for seed in (0, 1)]
    moved = (known[1].values - known[0].values)[:, 20]
    assert row.error == pytest.approx(moved.std(ddof=1) / np.sqrt(60), rel=0.1)
    assert read_comparison(found.as_json()).rows == found.rows


def test_a_row_needs_what_its_spread_needs_and_no_less_than_a_null():
    noisy, quiet = power_of_comparison(
        comparison(compared_row(0.4), compared_row(0.0, id="last-last-null"))
    ).rows
    assert noisy.needs == images_for_unchanged(0.4, 0.1, alpha=0.05, power=0.8) == 160
    assert quiet.needs == 29


def test_rows_that_are_tested_together_share_the_error_rate():
    rows = [compared_row(0.4, id=f"m{i}") for i in range(10)]
    alone = power_of_comparison(comparison(*rows[:1])).rows[0]
    several = power_of_comparison(comparison(*rows)).rows[0]
    error = 0.4 / 60**0.5
    assert alone.could_see == smallest_change(error, 0.1, 60, alpha=0.05, power=0.8)
    assert several.could_see == smallest_change(error, 0.1, 60, alpha=0.05, power=0.8, tests=10)
    assert several.could_show == alone.could_show


def test_what_cannot_be_used_has_to_be_asked_all_the_same():
    """Half of the samples are wrong in one of the two, so that twice as many are asked."""
    pairs = TaskPairs(
        task="ChooseAttr", both=60, base_only=20, tuned_only=10, neither=30, reworded=0
    )
    row = power_of_comparison(comparison(compared_row(0.4), tasks=(pairs,))).rows[0]
    assert (row.images, row.used, row.needs) == (120, 60, 2 * 160)


def test_a_tighter_tolerance_takes_more_and_sees_more():
    found = comparison(compared_row(0.4))
    wide, tight = (
        power_of_comparison(found, tolerance={"fraction": margin}) for margin in (0.1, 0.05)
    )
    assert tight.needs > wide.needs
    assert tight.rows[0].could_see < wide.rows[0].could_see
    assert power_of_comparison(found, power=0.9).needs > wide.needs
    assert power_of_comparison(found, alpha=0.01).needs > wide.needs


def test_the_gate_needs_what_enough_of_its_rows_need():
    rows = [compared_row(0.1, id=f"m{i}") for i in range(9)] + [compared_row(2.0)]
    most, every = (
        power_of_comparison(comparison(*rows), decided=decided) for decided in (0.8, 1.0)
    )
    noisy = most.rows[-1].needs
    quiet = most.rows[0].needs
    assert quiet <= most.needs < 2 * quiet < noisy
    assert every.needs == pytest.approx(noisy, abs=1)
    # Rows that are alike are each decided a little more often than all that must be.
    alike = power_of_comparison(comparison(*[compared_row(0.4, id=f"m{i}") for i in range(10)]))
    assert 160 < alike.needs < 2 * 160
    assert chance_of_unchanged(0.4, 0.1, alike.needs, alpha=0.05) > 0.8


def test_a_row_that_was_not_compared_says_why_and_asks_for_nothing():
    missing = ComparedRow(
        id="q-last-drop", task="QueryAttr", verdict="not-comparable", reason="no drop"
    )
    found = power_of_comparison(comparison(compared_row(0.4), missing))
    assert (found.rows[1].needs, found.rows[1].reason) == (None, "no drop")
    assert found.needs == power_of_comparison(comparison(compared_row(0.4))).needs
    assert power_of_comparison(comparison(missing)).needs is None
    assert "no drop" in render_power(found)


def test_the_sentence_names_the_change_and_the_row_that_tells_the_least():
    rows = [compared_row(0.1, id=f"m{i}") for i in range(9)] + [compared_row(2.0)]
    found = power_of_comparison(comparison(*rows))
    usual = 100 * found.rows[0].could_see
    assert could_have_seen(found).startswith(f"could have seen {int(usual) + 1} points, on q-last")
    only = comparison(compared_row(0.0), compared_row(0.0, id="m", unit="depth"))
    assert comparison_could_have_seen(only) == "could have seen 10 points; 0.1 of the depth"
    assert "29 images per task" in needed(power_of_comparison(only))


def test_a_comparison_without_numbers_does_not_promise_any():
    refused = comparison(refused=("another prompt",))
    assert comparison_could_have_seen(refused) == ""
    assert comparison_could_have_seen(comparison(kind="verdicts")).startswith("verdicts only")
    assert "nothing" in comparison_could_have_seen(comparison())


def test_no_name_leaves_its_line():
    row = compared_row(0.4, id="x\n::error::y\x1b[31m", task="T\u202e")
    shown = render_power(power_of_comparison(comparison(row, name="a\nb")))
    assert not any(sign in shown for sign in "\x1b\u202e")
    assert not any(line.startswith("::") for line in shown.splitlines())


def test_the_plan_is_json():
    found = power_of_comparison(comparison(compared_row(0.4)))
    assert json.loads(found.as_json())["rows"][0]["needs"] == 160


def own_row(**values) -> MechanismRow:
    known = {
        "model": "m",
        "id": "q-last-drop",
        "task": "ChooseAttr",
        "verdict": "holds",
        "expected": "holds",
        "outcome": "passed",
        "estimate": -0.3,
        "low": -0.4,
        "high": -0.2,
        "unit": "fraction",
        "threshold": "<= -10%",
        "n": 40,
    }
    return MechanismRow(**(known | values))


def planned(row: MechanismRow, asked=(50, 50), margin: float = 0.05):
    tolerance = {"fraction": margin}
    return power_of_rows([row], asked={"ChooseAttr": asked}, tolerance=tolerance, alpha=0.05)


def test_an_interval_of_half_the_width_takes_four_times_the_images():
    (found,) = planned(own_row())
    assert (found.images, found.used, found.needs) == (50, 40, 200)
    # Beside the threshold by the interval's half, and by the chance of missing it.
    assert found.could_see == pytest.approx(0.1 * (1.96 + 0.8416) / 1.96, abs=1e-4)
    (equivalence,) = planned(own_row(threshold="+-5%"))
    assert equivalence.could_see == pytest.approx(0.1 * (1.645 + 0.8416) / 1.645, abs=1e-4)


def test_images_that_agree_are_no_certainty():
    (found,) = planned(own_row(low=-0.3, high=-0.3))
    assert found.needs == 74  # 59 of those that can be used, which are four of five.
    assert found.could_see == found.could_show == unseen_share(40, alpha=0.05)


def test_a_verdict_without_an_interval_says_so():
    rows = [
        own_row(low=None, high=None, n=None, reason="none asked"),
        own_row(unit="ratio"),
        own_row(verdict="not-applicable"),
        own_row(verdict="report", threshold=""),
    ]
    found = power_of_rows(rows, asked={}, tolerance={"fraction": 0.1}, alpha=0.05)
    assert [row.reason for row in found] == ["none asked", "no tolerance for this unit"]
    assert {row.needs for row in found} == {None}
    (alone,) = power_of_rows(
        [replace(own_row(), task="own")], asked={}, tolerance={"fraction": 0.1}, alpha=0.05
    )
    assert alone.images == 40
