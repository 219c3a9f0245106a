"""Whether a task may still be mastered, against every way in which it may go on."""

from __future__ import annotations

from itertools import product

import pytest

from mmflow_bench.measurements.jobs import Mastery
from mmflow_bench.measurements.wants import ANSWERS, PATCHES
from mmflow_bench.measurements.wants import UNSCORED as UNSCORED_ROWS

RIGHT = {ANSWERS: [{"is_correct": True}], PATCHES: [{}]}
WRONG = {ANSWERS: [{"is_correct": False}]}
UNSCORED = {UNSCORED_ROWS: [{"scope": "answer", "reason": "missing-image"}]}
ELSEWHERE = {ANSWERS: [{"is_correct": True}], UNSCORED_ROWS: [{"scope": "lens", "reason": "r"}]}
KNOWN = {ANSWERS: []}
"""What is measured of a sample whose answer the store has."""


def reaches(outcomes: tuple[dict, ...], minimum: float) -> bool:
    scored = [one[ANSWERS][0]["is_correct"] for one in outcomes if one is not UNSCORED]
    return sum(scored) >= minimum * len(scored)


@pytest.mark.parametrize("minimum", [0.0, 0.5, 0.75, 0.9, 1.0])
def test_it_is_possible_as_long_as_some_way_on_reaches_it(minimum):
    ends = (RIGHT, WRONG, UNSCORED)
    for seen in (s for n in range(5) for s in product(ends, repeat=n)):
        mastery = Mastery(selected=4, wrong=0, unscored=0, minimum=minimum)
        for rows in seen:
            mastery.see(rows)
        ways = product(ends, repeat=4 - len(seen))
        # Where nothing at all is scored there is nothing to be wrong.
        assert mastery.is_possible() == any(reaches((*seen, *way), minimum) for way in ways)


def test_what_was_known_before_counts():
    assert Mastery(selected=10, wrong=1, unscored=0, minimum=0.9).is_possible()
    assert not Mastery(selected=10, wrong=2, unscored=0, minimum=0.9).is_possible()
    assert not Mastery(selected=10, wrong=1, unscored=1, minimum=0.9).is_possible()


def test_a_sample_without_a_lens_is_answered_and_a_known_one_is_not_counted_again():
    mastery = Mastery(selected=1, wrong=0, unscored=0, minimum=1.0)
    for rows in (ELSEWHERE, KNOWN, RIGHT):
        mastery.see(rows)
        assert mastery.is_possible()
