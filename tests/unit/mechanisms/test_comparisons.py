"""Three-way comparisons: what holds, what fails, what is not known, and what a reader sees."""

from dataclasses import replace

import numpy as np
import pytest

from mmflow_bench.mechanisms.comparisons import Recorder, current_recorder
from mmflow_bench.mechanisms.curves import Curve
from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.mechanisms.evidence import Kind, Known
from mmflow_bench.mechanisms.several import agree, at_least, average
from mmflow_bench.mechanisms.verdicts import Inconclusive, InstrumentDependent, Verdict
from mmflow_bench.statistics.intervals import Interval
from mmflow_bench.statistics.resampling import ImageMeans, ImageStatistic


def estimate(mean, *, sd=0.1, n=100, seed=0, **options):
    """An estimate of `mean` whose 95% interval reaches about 0.02 to both sides."""
    values = np.random.default_rng(seed).standard_normal(n)
    values = mean + sd * (values - values.mean()) / max(values.std(), 1e-9)
    means = ImageMeans(values[:, None], [f"image{i}" for i in range(n)])
    source = ImageStatistic(means.images, lambda weights: means.curves(weights)[:, 0])
    settings = {"name": "drop", "unit": "fraction", "n": n, "alpha": 0.05} | options
    return Estimate(source=source, **settings)


@pytest.fixture
def recorder():
    recorder = Recorder()
    token = current_recorder.set(recorder)
    yield recorder
    current_recorder.reset(token)


@pytest.mark.parametrize(
    ("ask", "verdict"),
    [
        (lambda e: e <= -0.25, "holds"),
        (lambda e: e <= -0.35, "fails"),
        (lambda e: e <= -0.31, "inconclusive"),
        (lambda e: e < -0.25, "holds"),
        (lambda e: e >= -0.35, "holds"),
        (lambda e: e >= -0.25, "fails"),
        (lambda e: e > -0.29, "inconclusive"),
        (lambda e: e.within(-0.4, -0.2), "holds"),
        (lambda e: e.within(-0.2, -0.1), "fails"),
        (lambda e: e.within(-0.4, -0.3), "inconclusive"),
        (lambda e: e.equivalent_to_zero(0.35), "holds"),
        (lambda e: e.equivalent_to_zero(0.05), "fails"),
        (lambda e: e.at_least(-0.31, bound=-0.4), "holds"),
        (lambda e: e.at_least(-0.29, bound=-0.4), "inconclusive"),
        (lambda e: e.at_least(-0.31, bound=-0.305), "inconclusive"),
        (lambda e: e.at_least(-0.2, bound=-0.4), "fails"),
        (lambda e: e.at_most(-0.29, bound=-0.2), "holds"),
        (lambda e: e.at_most(-0.31, bound=-0.2), "inconclusive"),
        (lambda e: e.at_most(-0.29, bound=-0.295), "inconclusive"),
        (lambda e: e.at_most(-0.4, bound=-0.2), "fails"),
    ],
)
def test_an_interval_lies_in_the_region_or_in_its_complement_or_in_neither(ask, verdict):
    comparison = ask(estimate(-0.3))
    assert comparison.verdict == verdict
    if verdict == "inconclusive":
        with pytest.raises(Inconclusive, match=r"drop = -30% \[-32"):
            bool(comparison)
    else:
        assert bool(comparison) == (verdict == "holds")
        assert comparison.p_value < 0.05


def test_equivalence_uses_the_narrower_interval_of_two_one_sided_tests():
    borderline = estimate(-0.0317)
    assert borderline.within(-0.05, 0.05).verdict == "inconclusive"
    assert borderline.equivalent_to_zero(0.05).verdict == "holds"
    assert borderline.equivalent_to_zero(0.05).p_value < 0.05


def test_a_smaller_alpha_decides_less():
    assert (estimate(-0.3) <= -0.275).verdict == "holds"
    assert (estimate(-0.3, alpha=0.001) <= -0.275).verdict == "inconclusive"


def test_one_image_decides_nothing():
    comparison = estimate(-0.3, n=1, sd=0.0) <= -0.1
    assert comparison.verdict == "inconclusive"
    assert comparison.p_value is None


def test_a_constant_sample_decides_within_the_noise_floor():
    constant = estimate(-0.3, sd=0.0, floor=1e-3)
    assert (constant <= -0.298).verdict == "holds"
    assert (constant <= -0.3).verdict == "inconclusive"
    assert (constant.low, constant.high) == pytest.approx((-0.301, -0.299))


def test_paired_estimates_are_known_better_apart_than_alone():
    one = estimate(-0.3)
    assert (one - one).value == 0
    assert (one - 0.9 * one).high - (one - 0.9 * one).low < 0.2 * (one.high - one.low)
    assert (one < 0.9 * one).verdict == "holds"
    assert (one / one).within(0.99, 1.01).verdict == "holds"


def test_a_ratio_to_nothing_does_not_exist_and_no_claim_on_it_holds():
    nothing = estimate(0.0, sd=0.0, floor=1e-6)
    assert (estimate(-0.3) / nothing <= 0.5).verdict == "fails"


def test_an_average_keeps_the_pairing():
    estimates = [estimate(mean) for mean in (-0.2, -0.3, -0.4)]
    assert average(estimates).value == pytest.approx(-0.3)
    assert (average(estimates) - estimates[1]).high < 1e-9


def test_estimates_agree_when_no_two_are_far_apart():
    near = [estimate(mean, seed=seed) for seed, mean in enumerate((-0.2, -0.22, -0.24))]
    assert agree(near, within=0.1).verdict == "holds"
    assert agree(near, within=0.04).verdict == "inconclusive"
    assert agree([*near, estimate(-0.4)], within=0.1).verdict == "fails"


def test_a_place_is_in_a_band_when_the_mass_is():
    generator = np.random.default_rng(0)
    values = 0.05 * generator.standard_normal((60, 40))
    values[:, 18:23] -= 0.4
    values[:, 30] -= 0.35
    images = tuple(map(str, range(60)))
    curve = Curve(name="curve", values=values, image_ids=images, width=5, alpha=0.05)
    assert curve.peak_depth.kind is Kind.PLACE
    assert curve.peak_depth.value == 0.5
    assert curve.peak_depth.within(0.4, 0.6)
    assert curve.peak_depth.within(0.6, 0.9).verdict == "fails"


def test_both_holds_when_both_do_and_fails_when_one_does():
    value = estimate(-0.3)
    holds, fails, open_ = value <= -0.1, value <= -0.5, value <= -0.31
    assert (holds & holds).verdict == "holds"
    assert (holds & open_).verdict == "inconclusive"
    assert (open_ & fails).verdict == "fails"
    assert (holds & open_ & fails).threshold == "<= -50%"
    assert (holds & (value <= -0.27)).threshold == "<= -27%"


def test_most_needs_as_many_as_it_says():
    hold, fail = estimate(0.0).equivalent_to_zero(0.05), estimate(-0.3).equivalent_to_zero(0.05)
    assert at_least(4, [hold] * 4 + [fail]).verdict == "holds"
    assert at_least(4, [hold] * 3 + [fail] * 2).verdict == "fails"
    unknown = estimate(-0.05).equivalent_to_zero(0.05)
    assert at_least(4, [hold] * 3 + [unknown] * 2).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("raw", "verdict"),
    [(-0.3, "holds"), (-0.05, "instrument-dependent"), (-0.1, "inconclusive")],
)
def test_two_instruments_must_agree(raw, verdict):
    both = replace(estimate(-0.3), twin=estimate(raw))
    assert (both <= -0.1).verdict == verdict
    assert ((both - 0.0) <= -0.1).verdict == verdict


def test_disagreeing_instruments_are_a_verdict_of_their_own():
    both = replace(estimate(-0.3), twin=estimate(0.0))
    with pytest.raises(InstrumentDependent) as caught:
        bool(both <= -0.1)
    assert isinstance(caught.value, Inconclusive)
    assert caught.value.verdict is Verdict.INSTRUMENT_DEPENDENT


def test_a_known_interval_is_compared_but_not_resampled():
    known = Estimate(
        source=Known(0.96, Interval(0.92, 0.98)),
        name="accuracy",
        unit="fraction",
        n=144,
        alpha=0.05,
    )
    assert (known >= 0.9).verdict == "holds"
    with pytest.raises(TypeError, match="known interval"):
        _ = known - known


def test_every_question_asked_is_recorded_once(recorder):
    value = estimate(-0.3)
    first = value <= -0.1
    assert first
    assert first
    assert value <= -0.27
    assert [comparison.threshold for comparison in recorder.comparisons] == ["<= -10%", "<= -27%"]
    assert recorder.deciding.threshold == "<= -27%"
    with pytest.raises(Inconclusive):
        bool(value <= -0.31)
    assert recorder.deciding.verdict == "inconclusive"


def test_a_message_shows_estimate_interval_n_threshold_and_curve():
    value = estimate(-0.3, curve=(0.0, -0.3, 0.0))
    text = str(value <= -0.5)
    assert text == "drop = -30% [-32.1%, -28%] (n=100) █▁█: fails, <= -50% asked"
    assert repr(value).startswith("drop = -30%")


def test_equivalence_has_one_sided_p_values():
    near = estimate(0.035)
    both_tails = near.within(-0.05, 0.05)
    one_sided = near.equivalent_to_zero(0.05)
    assert 0 < one_sided.p_hold == both_tails.p_hold / 2
    assert both_tails.p_fail == 1.0
    assert 0.5 < one_sided.p_fail < 1.0
