"""Several tests as one statement."""

import numpy as np
import pytest
from scipy import stats

from mmflow_bench.statistics.combining import (
    as_many,
    clopper_pearson,
    holm,
    intersection_union,
    partial_conjunction,
)


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
def test_the_exact_interval_is_scipys(successes, trials):
    theirs = stats.binomtest(successes, trials).proportion_ci(method="exact")
    ours = clopper_pearson(successes, trials, alpha=0.05)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_a_proportion_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one trial, got 0"):
        clopper_pearson(0, 0, alpha=0.05)


@pytest.mark.parametrize("successes", [0, 7, 10])
def test_as_many_is_the_binomial_tail(successes):
    assert as_many(successes, 10, proportion=0.6) == pytest.approx(
        stats.binom.sf(successes - 1, 10, 0.6)
    )


def test_five_nulls_that_60_images_show_are_four_of_five():
    # Bonferroni's form asks for more of the fourth than of each alone; Simes' sees that all agree.
    p_values = [0.95**64] * 5
    assert partial_conjunction(p_values, 4, is_positive=True) == pytest.approx(0.95**64)
    assert partial_conjunction(p_values, 4) > 0.05


def test_simes_form_keeps_its_error_rate_when_tests_speak_for_each_other():
    generator = np.random.default_rng(0)
    for shared in (0.0, 0.5, 0.95):
        normal = np.sqrt(shared) * generator.standard_normal((8000, 1))
        normal = normal + np.sqrt(1 - shared) * generator.standard_normal((8000, 2))
        p_values = np.hstack([np.full((8000, 3), 1e-6), stats.norm.sf(normal)])
        held = [partial_conjunction(list(row), 4, is_positive=True) <= 0.05 for row in p_values]
        assert np.mean(held) <= 0.057
