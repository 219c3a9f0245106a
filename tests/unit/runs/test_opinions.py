"""Which verdicts are asked again by other methods, and what is said where they cannot be."""

from __future__ import annotations

import pytest
from run_folders import made_up_row

from mmflow_bench.errors import StoreError
from mmflow_bench.interventions.knockout import SECOND_OPINIONS
from mmflow_bench.runs.opinions import with_opinion


def refused(said: str) -> None:
    raise AssertionError(f"nothing to tell of, got {said!r}")


def test_a_decided_verdict_is_asked_again_by_every_other_method():
    asked = []
    found = with_opinion(made_up_row(verdict="holds", tier="holds"), asked.append, tell=refused)
    assert tuple(asked) == tuple(SECOND_OPINIONS)
    assert found.qualifier == "confirmed-by-counterfactual"


@pytest.mark.parametrize(
    ("verdict", "tier"),
    [
        ("inconclusive", "holds"),
        ("precondition-failed", "holds"),
        ("holds", "control"),
        ("fails", "replicates"),
    ],
)
def test_others_are_not(verdict, tier):
    asked = []
    given = made_up_row(verdict=verdict, tier=tier)
    assert with_opinion(given, asked.append, tell=refused) == given
    assert not asked


def test_a_method_that_cannot_be_asked_is_told_of_and_leaves_the_verdict():
    told = []

    def ask(_):
        raise StoreError("another image of the same size")

    given = made_up_row(verdict="holds", tier="holds", model="mine")
    assert with_opinion(given, ask, tell=told.append) == given
    assert len(told) == 1
    assert told[0].startswith("verdicts of mine have no second opinion: ")
    assert "another image of the same size" in told[0]
