"""All of several, some of several, and the one within the other."""

import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmflow_bench.mechanisms.comparisons import Comparison, both_or_all, least_favourable
from mmflow_bench.mechanisms.regions import two_instruments
from mmflow_bench.mechanisms.several import at_least
from mmflow_bench.mechanisms.verdicts import Verdict

ORDER = ("fails", "instrument-dependent", "inconclusive", "holds")


def comparison(verdict, name="", value=0.5):
    """A comparison with the p-values that belong to its verdict."""
    p_hold, p_fail = {"holds": (0.001, 1.0), "fails": (1.0, 0.001)}.get(verdict, (0.4, 0.6))
    return Comparison(
        verdict=Verdict(verdict),
        estimate=SimpleNamespace(alpha=0.05, name=name, value=value),
        threshold=name,
        p_hold=p_hold,
        p_fail=p_fail,
    )


HOLDS, FAILS, OPEN = (comparison(verdict) for verdict in ("holds", "fails", "inconclusive"))
COMPARISONS = st.sampled_from([HOLDS, FAILS, OPEN, comparison("instrument-dependent")])


@given(st.lists(COMPARISONS, min_size=2, max_size=6))
def test_a_conjunction_is_its_worst_part_in_whatever_order(parts):
    worst = min((one.verdict for one in parts), key=ORDER.index)
    both = parts[0]
    for part in parts[1:]:
        both = both & part
    assert both.verdict == both_or_all(parts[::-1]).verdict == worst
    assert both.p_hold == max(one.p_hold for one in parts)
    assert both.is_conjunction


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(
    ("verdict", "shown"),
    [("holds", "report"), *((one, one) for one in ORDER if one != "holds")],
)
def test_what_is_only_observed_beside_what_holds_leaves_an_observation(is_first, verdict, shown):
    seen = replace(comparison("report"), p_hold=1.0, p_fail=1.0)
    other = comparison(verdict)
    both = seen & other if is_first else other & seen
    assert both.verdict == shown
    assert least_favourable([seen, other]).verdict == shown
    # Nothing is tested by it, so it hides no test either.
    assert both.p_hold == other.p_hold


@pytest.mark.parametrize("is_first", [True, False])
def test_a_drop_that_is_missing_is_shown_before_the_place_that_it_cannot_have(is_first):
    drop, place = comparison("fails", "drop"), comparison("fails", "place", value=math.nan)
    shown = drop & place if is_first else place & drop
    assert (shown.verdict, shown.threshold) == ("fails", "drop")


def test_a_chain_of_conjunctions_is_one():
    names = [comparison("holds", name) for name in "abcd"]
    chain = (names[0] & names[1]) & (names[2] & names[3])
    assert [part.threshold for part in chain.parts] == ["a", "b", "c", "d"]
    assert not any(part.is_conjunction for part in chain.parts)


@pytest.mark.parametrize("is_first", [True, False])
def test_an_alternative_stays_together_in_a_conjunction(is_first):
    either = at_least(1, [HOLDS, FAILS])
    assert not either.is_conjunction
    both = either & HOLDS if is_first else HOLDS & either
    assert both.verdict == "holds"
    assert len(both.parts) == 2
    assert either in both.parts
    assert (both & HOLDS).verdict == "holds"
    assert len((both & HOLDS).parts) == 3


def test_an_alternative_that_fails_fails_the_conjunction():
    neither = at_least(1, [FAILS, FAILS])
    assert neither.verdict == "fails"
    assert (neither & HOLDS).verdict == "fails"
    assert (at_least(1, [OPEN, FAILS]) & HOLDS).verdict == "inconclusive"


def test_a_conjunction_can_be_one_of_several_alternatives():
    both, open_ = HOLDS & HOLDS, OPEN & HOLDS
    assert at_least(1, [both, FAILS]).verdict == "holds"
    assert at_least(2, [both, open_]).verdict == "inconclusive"
    assert at_least(1, [both, FAILS]).parts == (both, FAILS)


@given(st.lists(st.sampled_from([HOLDS, FAILS]), min_size=1, max_size=6), st.data())
def test_at_least_counts_what_is_decided(parts, data):
    required = data.draw(st.integers(1, len(parts)))
    holding = sum(part is HOLDS for part in parts)
    expected = "holds" if holding >= required else "fails"
    found = at_least(required, parts)
    assert found.verdict == expected
    assert found.p_value <= 0.05
    is_all = required == len(parts)
    assert found.qualifier == ("" if is_all else f"{required} of {len(parts)}")


@pytest.mark.parametrize("required", [0, 3])
def test_no_more_can_be_required_than_there_are(required):
    with pytest.raises(ValueError, match=f"1 to 2 tests can be required, got {required}"):
        at_least(required, [HOLDS, FAILS])


@given(COMPARISONS, COMPARISONS)
def test_two_instruments_decide_only_what_both_decide(one, other):
    joint = two_instruments(one, other)
    assert joint.p_hold == max(one.p_hold, other.p_hold)
    assert joint.p_fail == max(one.p_fail, other.p_fail)
    if joint.verdict in (Verdict.HOLDS, Verdict.FAILS):
        assert one.verdict is other.verdict is joint.verdict


def test_instruments_that_contradict_each_other_are_not_taken_for_a_failure():
    contradictory = two_instruments(HOLDS, FAILS)
    assert contradictory.verdict is Verdict.INSTRUMENT_DEPENDENT
    assert at_least(1, [contradictory]).verdict is Verdict.INCONCLUSIVE
