"""What is read off the logit lens: heights, depths, and two lenses that must agree."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmflow_bench.errors import MechanismError
from mmflow_bench.mechanisms.bands import HIDDEN
from mmflow_bench.mechanisms.evidence import Kind
from mmflow_bench.mechanisms.lens import LensCurve
from mmflow_bench.mechanisms.verdicts import InstrumentDependent

LAYERS = 8


def lens(mean, *, n=60, sd=0.0, seed=0, first=0, **options):
    """A curve over `len(mean) - 1` layers; sample i is question `q<first + i>` of its own image."""
    noise = np.random.default_rng(seed).standard_normal((n, len(mean)))
    names = tuple(f"q{first + i}" for i in range(n))
    described = {"name": "word", "alpha": 0.05} | options
    return LensCurve(
        values=np.asarray(mean, float) + sd * (noise - noise.mean(axis=0)),
        question_ids=names,
        image_ids=names,
        **described,
    )


RISE = (0.0, 0.0, 0.0, 0.1, 0.3, 0.6, 0.5, 0.2, 0.1)


def test_column_0_is_the_embedding_and_belongs_to_no_layer():
    curve = lens(RISE)
    assert curve.layers == LAYERS
    assert [curve.at(layer / LAYERS).value for layer in range(LAYERS)] == pytest.approx(RISE[1:])


@pytest.mark.parametrize("depth", [1.0, -0.3])
def test_a_depth_without_a_layer_is_refused(depth):
    with pytest.raises(MechanismError, match=rf"0.875, got {depth:g} \(word\)"):
        lens(RISE).at(depth)


def test_heights_of_a_curve_without_noise():
    curve = lens(RISE)
    assert curve.max.value == pytest.approx(0.6)
    assert curve.final.value == pytest.approx(0.1)
    assert curve.max.unit == "probability"
    assert curve.max.name == "max of word"


@pytest.mark.parametrize(("depth", "highest"), [(0.0, 0.0), (0.5, 0.3), (0.624, 0.3), (0.625, 0.6)])
def test_a_maximum_can_be_looked_for_in_the_lower_layers_only(depth, highest):
    assert lens(RISE).max_until(depth).value == pytest.approx(highest)


def test_a_maximum_is_located_on_one_half_of_the_images_and_read_on_the_other():
    # Columns of noise have mean zero, so where one half is high the other is as far below.
    noisy = lens([0.2] * 41, n=60, sd=0.3)
    first, second = noisy.means.halves(np.ones((1, 60)))
    assert min(first.max(), second.max()) > 0.25
    assert noisy.max.value == pytest.approx(0.4 - (first.max() + second.max()) / 2)


@given(layer=st.integers(0, LAYERS - 1), height=st.floats(0.01, 1.0))
def test_an_onset_is_the_depth_of_the_layer_whose_output_rises(layer, height):
    step = [0.0] * (layer + 1) + [height] * (LAYERS - layer)
    onset = lens(step, n=3).onset
    assert onset.value == layer / LAYERS
    assert (onset.unit, onset.kind) == ("depth", Kind.PLACE)


def test_an_onset_is_at_half_of_the_maximum_and_not_before():
    assert lens(RISE).onset.value == 3 / LAYERS  # column 4, with 0.3 of 0.6


def test_what_never_rises_above_the_noise_has_no_onset_and_no_claim_on_it_holds():
    flat = lens([5e-5] * 9, noise_floor=1e-4)
    assert np.isnan(flat.onset.value)
    assert (flat.onset >= 0.0).verdict == "fails"
    assert (flat.onset <= 1.0).verdict == "fails"


def test_what_the_noise_may_hide_is_not_said_to_be_absent():
    low = lens([2e-3] * 9, noise_floor=1e-3)
    assert np.isnan(low.onset.value)
    for claim in (low.onset >= 0.0, low.onset <= 1.0):
        assert (claim.verdict, claim.reason) == ("inconclusive", HIDDEN)


def test_probes_are_added_and_subtracted_on_the_samples_of_both():
    left = lens(RISE, n=4)
    right = lens([0.1] * 9, n=4, first=2, name="other")
    both = left + right
    assert both.question_ids == both.image_ids == ("q2", "q3")
    assert both.name == "word + other"
    assert both.max.value == pytest.approx(0.7)
    assert (left - right).final.value == pytest.approx(0.0)


def test_samples_are_matched_by_question_and_not_by_order():
    values = np.arange(3)[:, None] * np.ones((3, 5)) / 10
    described = {"image_ids": ("a", "b", "c"), "alpha": 0.05}
    one = LensCurve(name="one", values=values, question_ids=("q0", "q1", "q2"), **described)
    other = LensCurve(
        name="other", values=values[::-1], question_ids=("q2", "q1", "q0"), **described
    )
    np.testing.assert_allclose((one - other).values, 0.0)


def two_lenses(normed, raw, **options):
    return replace(lens(normed, **options), twin=lens(raw, seed=1, **options))


def test_two_lenses_that_decide_alike_are_one_verdict():
    both = two_lenses(RISE, [value / 2 for value in RISE])
    comparison = both.max >= 0.2
    assert comparison.verdict == "holds"
    assert comparison.qualifier == "raw and normed lens"
    assert (both.max >= 0.9).verdict == "fails"


@pytest.mark.parametrize(("normed", "raw"), [(RISE, [0.01] * 9), ([0.01] * 9, RISE)])
def test_two_lenses_that_decide_differently_are_said_to(normed, raw):
    both = two_lenses(normed, raw)
    comparison = both.max >= 0.2
    assert comparison.verdict == "instrument-dependent"
    assert comparison.p_value is None
    with pytest.raises(InstrumentDependent, match="instrument-dependent, >= 20% asked"):
        bool(comparison)


def test_every_reading_asks_both_lenses():
    early, late = [0.0, 0.5] + [0.5] * 7, [0.0] * 8 + [0.5]
    both = two_lenses(early, late)
    for comparison in (
        both.onset <= 0.5,
        both.max_until(0.5) >= 0.2,
        both.at(0.25) >= 0.2,
        both.max_until(0.5) - 0.5 * both.max >= 0,
    ):
        assert comparison.verdict == "instrument-dependent", comparison
    assert (both.final >= 0.2).verdict == "holds"


def test_a_lead_is_taken_lens_by_lens():
    lower, upper = two_lenses(RISE, [0.4] * 9), two_lenses([0.2] * 9, [0.1] * 9)
    lead = lower - upper
    assert lead.max.value == pytest.approx(0.4)
    assert lead.twin.max.value == pytest.approx(0.3)
    assert (lead.final > 0).verdict == "instrument-dependent"
