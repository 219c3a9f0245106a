"""When a value counts as the stored one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmflow_bench.baselines.golden import are_comparable, default_tolerance, differences

ENTRY = {"verdict": "holds", "estimate": -0.4, "n": 40, "tolerance": 0.02, "conditions": "all"}


def lines(stored=ENTRY, **changes):
    return list(differences(ENTRY | changes, stored))


def test_numbers_within_the_stored_tolerance_are_equal():
    assert lines(estimate=-0.419) == []
    assert lines(estimate=-0.421) == ["estimate: baseline -0.4, received -0.421 (tolerance 0.02)"]


def test_the_received_tolerance_does_not_count():
    assert lines(estimate=-0.5, tolerance=1.0)


def test_a_count_has_no_tolerance_to_speak_of():
    assert lines(n=39) == ["n: baseline 40, received 39"]


def test_a_verdict_must_be_the_same():
    assert lines(verdict="fails") == ["verdict: baseline 'holds', received 'fails'"]


def test_what_is_missing_differs():
    assert lines(estimate=None) == ["estimate: baseline -0.4, received None"]


def test_intervals_and_thresholds_are_information():
    stored = ENTRY | {"interval": [0, 1], "threshold": "<= 0"}
    assert lines(stored, interval=[0.5, 0.6]) == []


def test_lists_are_compared_one_by_one():
    assert list(differences({"peaks": [1.0, 2.0]}, {"peaks": [1.0, 3.0], "tolerance": 0.5})) == [
        "peaks[1]: baseline 3, received 2 (tolerance 0.5)"
    ]
    assert list(differences([1], [1, 2]))


def test_conditions_decide_whether_numbers_are_compared_at_all():
    assert are_comparable(ENTRY, dict(ENTRY))
    assert not are_comparable(ENTRY, ENTRY | {"conditions": "limit=3"})
    assert are_comparable(0.5, 0.5)


@given(st.floats(-5, 5))
def test_the_default_tolerance_is_at_least_one_point(value):
    assert default_tolerance(value) >= 0.01
