"""Regions in words, and the decision between the three verdicts."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mmflow_bench.mechanisms.comparisons import Comparison
from mmflow_bench.mechanisms.numbers import formatted
from mmflow_bench.mechanisms.regions import (
    Evidence,
    Region,
    decide,
    two_instruments,
)
from mmflow_bench.mechanisms.verdicts import Verdict
from mmflow_bench.statistics.intervals import Interval

OPPOSITE = {"<=": ">", "<": ">=", ">=": "<", ">": "<="}


def region(sign, bound):
    return Region(sign=sign, **({"high": bound} if "<" in sign else {"low": bound}))


def decided(evidence, asked, *, alpha=0.05):
    return decide(evidence, asked, alpha=alpha)


def known(low, high):
    return Evidence(value=(low + high) / 2, interval=Interval(low, high))


def normal(mean, sd=0.1, *, draws=2000, alpha=0.05):
    replicates = mean + sd * np.random.default_rng(0).standard_normal(draws)
    low, high = np.quantile(replicates, [alpha / 2, 1 - alpha / 2])
    return Evidence(value=mean, interval=Interval(low, high), replicates=replicates)


@pytest.mark.parametrize(
    ("asked", "unit", "text"),
    [
        (region("<=", -0.1), "fraction", "<= -10%"),
        (region(">", 0.5), "ratio", "> 0.5"),
        (Region(low=0.35, high=0.75, sign=".."), "depth", "0.35..0.75"),
        (Region(low=-0.05, high=0.05, sign="+-"), "fraction", "+-5%"),
        (Region(low=0.0, sign=">", least=0.03), "fraction", ">= 3%, > 0%"),
    ],
)
def test_a_region_in_words(asked, unit, text):
    assert asked.text(unit) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (-0.28841, "fraction", "-28.8%"),
        (1.0, "probability", "100%"),
        (0.0, "ratio", "0"),
        (0.0004, "fraction", "0.04%"),
        (2e-5, "ratio", "2e-05"),
        (math.nan, "fraction", "nan%"),
        (120.0, "ratio", "120"),
    ],
)
def test_numbers_as_a_reader_wants_them(value, unit, text):
    assert formatted(value, unit) == text


@given(
    sign=st.sampled_from(sorted(OPPOSITE)),
    bound=st.integers(-5, 5),
    ends=st.tuples(st.integers(-5, 5), st.integers(-5, 5)).map(sorted),
)
def test_an_interval_decides_a_region_and_its_complement_oppositely(sign, bound, ends):
    asked, complement = region(sign, bound), region(OPPOSITE[sign], bound)
    one, other = (decided(known(*ends), each).verdict for each in (asked, complement))
    turned = {Verdict.HOLDS: Verdict.FAILS, Verdict.FAILS: Verdict.HOLDS}
    touches = bound in ends
    if not touches:
        assert other == turned.get(one, Verdict.INCONCLUSIVE)
    assert {one, other} != {Verdict.HOLDS}
    assert {one, other} != {Verdict.FAILS}


@pytest.mark.parametrize(
    ("sign", "ends", "verdict"),
    [
        ("<=", (-1.0, 0.0), "holds"),
        ("<", (-1.0, 0.0), "inconclusive"),
        (">=", (0.0, 1.0), "holds"),
        (">", (0.0, 1.0), "inconclusive"),
        ("<", (0.1, 1.0), "fails"),
    ],
)
def test_the_bound_itself_belongs_to_a_region_that_says_so(sign, ends, verdict):
    assert decided(known(*ends), region(sign, 0.0)).verdict == verdict


def test_what_is_measured_too_small_has_no_p_value_for_holding():
    asked = Region(low=0.0, sign=">", least=0.03)
    small, large = (decided(normal(mean, sd=0.008), asked) for mean in (0.02, 0.05))
    assert (small.verdict, small.p_hold) == ("inconclusive", 1.0)
    assert large.verdict == "holds"
    assert large.p_hold <= 0.05


@given(
    mean=st.floats(-0.5, 0.5),
    bound=st.floats(-0.5, 0.5),
    sign=st.sampled_from(["<=", ">="]),
    alpha=st.sampled_from([0.01, 0.05, 0.2]),
)
def test_a_verdict_is_what_its_p_value_says(mean, bound, sign, alpha):
    evidence = normal(mean, alpha=alpha)
    interval = evidence.interval
    # One draw of 2000 to either side of the bound decides; quantiles interpolate between them.
    assume(min(abs(bound - interval.low), abs(bound - interval.high)) > 0.01)
    comparison = decided(evidence, region(sign, bound), alpha=alpha)
    assert (comparison.verdict is Verdict.HOLDS) == (comparison.p_hold <= alpha)
    assert (comparison.verdict is Verdict.FAILS) == (comparison.p_fail <= alpha)
    assert min(comparison.p_hold, comparison.p_fail) >= 0
    assert max(comparison.p_hold, comparison.p_fail) <= 1


def test_a_known_interval_is_certain_of_its_verdict():
    comparison = decided(known(0.92, 0.98), region(">=", 0.9))
    assert comparison.verdict == "holds"
    assert (comparison.p_hold, comparison.p_fail) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("share", "verdict"), [(0.96, "holds"), (0.94, "inconclusive"), (0.04, "fails")]
)
def test_a_place_lies_where_its_mass_does(share, verdict):
    draws = np.where(np.arange(100) < round(100 * share), 0.5, 0.9)
    place = Evidence(value=0.5, interval=Interval(0.5, 0.9), replicates=draws, is_place=True)
    asked = Region(low=0.35, high=0.75, sign="..")
    comparison = decided(place, asked)
    assert comparison.verdict == verdict
    assert comparison.p_hold == pytest.approx(1 - share)


def test_a_place_on_the_edge_of_a_band_is_in_it_in_spite_of_rounding():
    edge = 0.1 + 0.2  # a hair above 0.3
    place = Evidence(
        value=edge, interval=Interval(edge, edge), replicates=np.full(50, edge), is_place=True
    )
    assert decided(place, region("<=", 0.3)).verdict == "holds"
    assert decided(place, region("<", 0.3)).verdict == "fails"
    assert decided(place, region(">", 0.3)).verdict == "fails"


@pytest.mark.parametrize(
    ("undefined", "verdict", "p_fail"),
    [(1.0, "fails", 0.0), (0.97, "fails", 0.03), (0.9, "inconclusive", 1.0)],
)
def test_what_does_not_exist_is_nowhere(undefined, verdict, p_fail):
    absent = Evidence(value=math.nan, undefined=undefined)
    comparison = decided(absent, region("<=", 10.0))
    assert comparison.verdict == verdict
    assert (comparison.p_hold, comparison.p_fail) == (1.0, pytest.approx(p_fail))


def comparison(verdict, *, p_hold=1.0, p_fail=1.0):
    described = SimpleNamespace(alpha=0.05)
    return Comparison(
        verdict=Verdict(verdict), estimate=described, threshold="", p_hold=p_hold, p_fail=p_fail
    )


@pytest.mark.parametrize(
    ("one", "other", "verdict", "qualifier"),
    [
        ("holds", "holds", "holds", "raw and normed lens"),
        ("fails", "fails", "fails", "raw and normed lens"),
        ("inconclusive", "inconclusive", "inconclusive", "raw and normed lens"),
        ("holds", "fails", "instrument-dependent", "raw and normed lens"),
        ("holds", "inconclusive", "inconclusive", "one lens decides"),
        ("fails", "inconclusive", "inconclusive", "one lens decides"),
    ],
)
def test_two_instruments_in_either_order(one, other, verdict, qualifier):
    for pair in ((one, other), (other, one)):
        both = two_instruments(*map(comparison, pair))
        assert (both.verdict, both.qualifier) == (verdict, qualifier)


def test_of_two_instruments_that_agree_the_less_favourable_is_shown():
    clear, close = comparison("holds", p_hold=0.001), comparison("holds", p_hold=0.04)
    assert two_instruments(clear, close).p_hold == two_instruments(close, clear).p_hold == 0.04
