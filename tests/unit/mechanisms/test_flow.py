"""What `flow` gives and what it refuses."""

import numpy as np
import pytest

from mmflow_bench.errors import KnockoutError, MechanismError
from mmflow_bench.mechanisms.bands import B1, B2, Band
from mmflow_bench.mechanisms.flow import Flow


def test_a_curve_knows_its_peak_its_place_and_its_n(measured):
    drop = Flow(measured())("question -> last", "ChooseAttr")
    assert drop.peak.value == pytest.approx(-0.285, abs=0.01)
    assert drop.peak_depth.value == pytest.approx(23 / 40)
    assert drop.peak.n == 200
    assert len(drop.mean) == 40
    assert drop.at(B2).band_mean.value > drop.peak.value


def test_every_estimate_counts_the_images_behind_it(measured):
    drop = Flow(measured())("question -> last", "ChooseAttr")
    images = len(set(drop.image_ids))
    found = [drop.peak, drop.peak - drop.at(B2).band_mean, drop.largest_change]
    found.append(drop.equivalent_to_zero(0.05).estimate)
    assert [one.images for one in found] == [images] * 4
    assert Flow(measured()).accuracy("ChooseAttr").images is None


def test_an_edge_with_an_unknown_role_is_refused(measured):
    with pytest.raises(KnockoutError, match="got 'imag'"):
        Flow(measured())("imag -> last", "ChooseAttr")


def test_windows_of_one_layer_can_be_asked_for(measured):
    drop = Flow(measured())("image -> question", "ChooseAttr", width=1)
    assert (np.array(drop.mean) < -0.1).nonzero()[0].tolist() == [0, 10]


def test_a_band_that_the_window_swallows_is_refused(measured):
    drop = Flow(measured())("image -> question", "ChooseAttr")
    with pytest.raises(MechanismError, match="use a smaller --window"):
        drop.peak_in(Band(0.0, 0.05, first_layer="never"))


def test_estimates_name_what_they_are(measured):
    drop = Flow(measured())("image -> question", "ChooseAttr")
    assert drop.peak_in(B1).name == "peak of image->question on ChooseAttr (centres 0-4)"


def test_the_lens_asks_both_instruments_unless_told(measured):
    flow = Flow(measured())
    assert flow.lens("answer", "ChooseAttr").max.twin is not None
    assert flow.lens("answer", "ChooseAttr", variant="raw").max.twin is None


def test_lens_probes_are_added_on_the_samples_of_both(measured):
    flow = Flow(measured())
    both = flow.lens("capitalized", "ChooseAttr") + flow.lens("noncapitalized", "ChooseAttr")
    assert both.final.value > 0.9 * both.max.value
    assert both.twin is not None
    assert both.at(0.5).value == pytest.approx(float(both.means.mean[21]))


def test_accuracy_is_pooled_over_tasks(measured):
    flow = Flow(measured(n=24))
    assert (flow.accuracy("ChooseAttr") >= 0.95).verdict == "inconclusive"
    assert (flow.accuracy(*flow.tasks) >= 0.95).verdict == "holds"


def test_other_curves_of_other_images_still_overlap(measured):
    flow, more = Flow(measured()), Flow(measured(n=30))
    one = flow("image -> question", "ChooseAttr")
    assert one.overlap(more("question -> last", "ChooseAttr")).value < 0.2
    assert one.overlap(one).value == pytest.approx(1.0)
