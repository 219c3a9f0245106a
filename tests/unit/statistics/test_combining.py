"""Several tests as one statement."""

import numpy as np
import pytest
from scipy import stats

from mmflow_bench.statistics.combining import holm, intersection_union, partial_conjunction, wilson


def test_all_is_as_weak_as_its_weakest_part():
    assert intersection_union([0.001, 0.2, 0.03]) == 0.2


def test_most_forgives_as_many_as_it_says():
    weak = [0.001, 0.001, 0.001, 0.001, 0.9]
    assert partial_conjunction(weak, 4) == pytest.approx(0.002)
    assert partial_conjunction(weak, 5) == pytest.approx(0.9)


def test_most_keeps_its_error_rate_when_one_too_few_is_true():
    # Three of five are clearly so, two are not: "at least four" is false.
    generator = np.random.default_rng(0)
    p_values = np.hstack([np.full((4000, 3), 1e-6), generator.uniform(size=(4000, 2))])
    rejected = [partial_conjunction(list(row), 4) <= 0.05 for row in p_values]
    assert np.mean(rejected) <= 0.055


def test_more_than_all_cannot_be_required():
    with pytest.raises(ValueError, match="1 to 2 tests can be required, got 3"):
        partial_conjunction([0.1, 0.2], 3)


def test_holm_keeps_the_order_given():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (7, 10), (24, 24), (900, 1000)])
def test_wilson_is_scipys(successes, trials):
    theirs = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    ours = wilson(successes, trials, alpha=0.05)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_a_proportion_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one trial, got 0"):
        wilson(0, 0, alpha=0.05)
