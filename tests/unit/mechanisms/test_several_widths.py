"""Windows of several widths, numbers that never rise, and rises of a curve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmflow_bench.interventions.knockout import Method
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.mechanisms.curves import Curve
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.rises import rise, rises
from mmflow_bench.mechanisms.several import never_rises
from mmflow_bench.mechanisms.verdicts import Verdict

IMAGES = 80


def curve(*changes: float, spread: float = 0.0, images: int = IMAGES) -> Curve:
    """A curve whose every image changes alike, but for what is even over all of them."""
    noise = np.linspace(-spread, spread, images)[:, None]
    values = np.array(changes)[None, :] + noise
    return Curve(
        name="false_option->last on ChooseAttr",
        values=values,
        image_ids=tuple(map(str, range(images))),
        width=1,
        alpha=0.05,
    )


@pytest.mark.parametrize(
    ("layers", "widths"),
    [(40, [1, 3, 5, 7, 9, 11, 15]), (32, [1, 3, 5, 7, 9, 13]), (12, [1, 3, 5]), (2, [1])],
)
def test_widths_are_scaled_and_asked_once(measured, layers, widths):
    measurements, asked = measured(), []
    measurements.decoder_layers, measurements.width = layers, 9
    table = measurements.table

    def asking(task, want):
        asked.append(want.scaled(layers).at(9))
        return table(task, replace(want, of_forty=None))

    measurements.table = asking
    curves = Flow(measurements).by_width("image -> question", "ChooseAttr")
    assert [one.width for one in curves] == widths
    assert [want.width for want in asked] == widths
    assert len(set(asked)) == len(asked)


def test_what_is_asked_at_a_scaled_width_is_what_is_asked_at_that_width():
    scaled = Sweep.of("image->last", width=None)
    eleven = replace(scaled, of_forty=11)
    assert eleven.scaled(40).at(9) == Sweep.of("image->last", width=11)
    assert eleven.scaled(32).at(7) == scaled.scaled(32).at(9)
    assert not eleven.is_compared
    assert scaled.is_compared
    assert eleven.by(Method.COUNTERFACTUAL) is None


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ((-0.1, -0.2, -0.4), Verdict.HOLDS),
        ((-0.1, -0.1, -0.1), Verdict.HOLDS),
        # Each step is within the margin, both together are not.
        ((-0.4, -0.36, -0.32), Verdict.FAILS),
        ((-0.2, -0.4, -0.1), Verdict.FAILS),
    ],
)
def test_numbers_never_rise(changes, verdict):
    peaks = [curve(change, 0.0, images=400).peak for change in changes]
    assert never_rises(peaks, within=0.05).verdict == verdict


def test_a_few_images_do_not_tell_whether_numbers_rise():
    peaks = [curve(change, 0.0, images=5).peak for change in (-0.1, -0.2)]
    assert never_rises(peaks, within=0.05).verdict == Verdict.INCONCLUSIVE


def test_a_rise_is_read_as_a_drop_is():
    raised = curve(0.0, 0.2, 0.2, 0.2, -0.3, spread=0.01)
    assert rise(raised).value == pytest.approx(0.2, abs=0.01)
    assert (rise(raised) >= 0.1).verdict == Verdict.HOLDS
    assert rises(raised).centre.value == pytest.approx(2 / 5)
    assert raised.centre.value == pytest.approx(4 / 5)
    assert (curve(0.0, -0.3, 0.0).peak <= -0.1).verdict == Verdict.HOLDS


def test_an_unseen_image_may_lose_everything_and_gains_what_others_gain():
    estimate = rise(curve(0.0, 0.2))
    # At 80 images an unseen one weighs up to a 27th.
    share = 1 - 0.05 ** (1 / IMAGES)
    assert estimate.low == pytest.approx(0.2 * (1 - share) - share, abs=2e-3)
    assert estimate.high == pytest.approx(0.2, abs=1e-6)


def test_nothing_rises_where_nothing_changes():
    assert rise(curve(0.0, 0.0)).at_least(0.02, bound=0.0).verdict == Verdict.FAILS
    assert rises(curve(0.0, -0.2)).centre.evidence.interval is None


def test_rises_of_rises_are_the_curve():
    one = curve(-0.2, 0.1, spread=0.02)
    twice = rises(rises(one))
    np.testing.assert_array_equal(twice.values, one.values)
    assert twice.ends == one.ends
    assert (twice.peak.low, twice.peak.high) == (one.peak.low, one.peak.high)
