"""Losses and savings by the layer from which the image is gone, and where their knee is."""

from __future__ import annotations

import numpy as np
import pytest

from mmflow_bench.measurements.records import AnswerCount
from mmflow_bench.measurements.removal import ImageRemoval, RemovalTable, Removed
from mmflow_bench.measurements.removal_time import RemovalTime, RemovalTimeTable, half_of
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.removal import RemovalCurve, accuracy_lost
from mmflow_bench.mechanisms.verdicts import NotApplicable, Verdict
from mmflow_bench.mechanisms.watching import watch

LAYERS = (5, 10, 15, 20, 25, 30, 35, 40)
HOLDS, FAILS, INCONCLUSIVE = Verdict.HOLDS, Verdict.FAILS, Verdict.INCONCLUSIVE


def table(right: np.ndarray, *, depth: int = 40, **changes) -> RemovalTable:
    """Samples of as many images, `right` by sample and first layer; costs rise with the layer."""
    count, width = right.shape
    cost = np.broadcast_to(np.linspace(0.3, 1.0, width), right.shape)
    names = tuple(map(str, range(count)))
    given = {
        "task": "ChooseAttr",
        "removed": Removed.IMAGE,
        "depth": depth,
        "question_ids": names,
        "image_ids": names,
        "is_followed": right[:, -1],
        "is_correct": right,
        "probability": np.where(right, 0.9, 0.1),
        "operations": 2.0 * cost,
        "cache_bytes": cost,
    }
    return RemovalTable(**given | changes)


def shares(*wrong: int, count: int = 400) -> np.ndarray:
    """So many of the samples wrong at every first layer; none with the whole image."""
    place = np.arange(count)[:, None]
    return np.column_stack([place >= np.array(wrong), np.ones(count, bool)]).astype(bool)


def curve(right: np.ndarray, **changes) -> RemovalCurve:
    return RemovalCurve(tables=[table(right, **changes)], alpha=0.05)


def test_losses_are_paired_and_savings_are_shares():
    found = curve(shares(200, 100, 0, 0, 0, 0, 0))
    assert found.layers == LAYERS
    assert [found.accuracy_lost(layer).value for layer in (5, 10, 15)] == [0.5, 0.25, 0.0]
    assert found.accuracy(10) == 0.75
    assert found.operations_saved(5).value == pytest.approx(0.7)
    assert found.cache_saved(40).value == 0.0
    assert found.layer_at(0.5) == 20
    assert found.layer_at(0.51) == 25


def test_an_answer_that_becomes_right_is_a_gain():
    right = shares(0, 0, 0, 0, 0, 0, 0)
    right[:100, -1] = False
    assert curve(right).accuracy_lost(20).value == -0.25
    assert curve(right).accuracy_lost(20).equivalent_to_zero(0.02).verdict is FAILS


def test_tasks_are_one_and_an_image_of_two_tasks_is_one_image():
    right = shares(0, 0, 0, 0, 0, 0, 0)
    both = RemovalCurve(
        tables=[table(right), table(shares(400, 400, 400, 0, 0, 0, 0), task="ChooseCat")],
        alpha=0.05,
    )
    assert (both.samples, both.images) == (800, 400)
    assert both.accuracy_lost(15).value == 0.5
    assert "2 tasks" in both.accuracy_lost(15).name


@pytest.mark.parametrize(
    ("wrong", "knee", "verdict"),
    [
        ((0, 0, 0, 0, 0, 0, 0), 5, HOLDS),
        ((300, 200, 0, 0, 0, 0, 0), 15, HOLDS),
        ((300, 200, 200, 0, 0, 0, 0), 20, HOLDS),
        ((300, 300, 300, 300, 0, 0, 0), 25, FAILS),
        # A loss at one late layer counts, whatever comes before it.
        ((0, 0, 0, 0, 0, 100, 0), 35, FAILS),
        ((400, 400, 400, 400, 400, 400, 400), 40, FAILS),
    ],
)
def test_the_knee_is_where_the_accuracy_stays_intact_from(wrong, knee, verdict):
    found = curve(shares(*wrong)).knee
    assert found.value == knee / 40
    assert (found <= 0.5).verdict is verdict


def test_few_images_do_not_tell_where_the_knee_is():
    assert (curve(shares(0, 0, 0, 0, 0, 0, 0, count=10)).knee <= 0.5).verdict is INCONCLUSIVE


@pytest.mark.parametrize(
    ("wrong", "verdict"),
    [
        ((300, 200, 100, 0, 0, 0, 0), HOLDS),
        ((0, 0, 0, 0, 0, 0, 0), HOLDS),
        ((100, 300, 100, 0, 0, 0, 0), FAILS),
        ((0, 200, 0, 0, 0, 0, 0), FAILS),
    ],
)
def test_an_accuracy_that_comes_back_is_no_knee(wrong, verdict):
    assert curve(shares(*wrong)).never_recovers(0.05).verdict is verdict


def test_nothing_is_shown_of_two_points_on_fewer_images_than_that_takes():
    losses = [curve(shares(*7 * [0], count=n)).accuracy_lost(20) for n in (140, 155)]
    assert [one.equivalent_to_zero(0.02).verdict for one in losses] == [INCONCLUSIVE, HOLDS]


def test_one_loss_is_that_of_a_curve():
    right = shares(0, 0, 0, 40, 0, 0, 0)
    images = [str(i) for i in range(400)]
    sides = (right[:, -1].tolist(), right[:, 3].tolist())
    one = accuracy_lost(*sides, images, alpha=0.05)
    of_curve = curve(right).accuracy_lost(20)
    expected = (of_curve.value, of_curve.low, of_curve.high)
    assert (one.value, one.low, one.high) == pytest.approx(expected, rel=1e-9)


class _Measurements:
    """One task whose tables are given."""

    paper_model = None
    tasks = known_tasks = ("ChooseAttr",)
    decoder_layers = 40
    width = 9
    noise_floor = 0.0

    def __init__(self, removal: RemovalTable, times: RemovalTimeTable) -> None:
        self._tables = {ImageRemoval(): removal, RemovalTime(): times}

    def ensure(self, task, wants=()):
        pass

    def accuracy(self, task):
        return AnswerCount(task=task, selected=1, correct=1, unscored={})

    def table(self, _, want):
        return self._tables[want]

    def refusals(self, _):
        return {"image removal": {"no-image": 3}}

    def part(self):
        return self


NONE = np.ones((0, 8), bool)


def times(count: int) -> RemovalTimeTable:
    names = tuple(map(str, range(count)))
    return RemovalTimeTable(
        task="ChooseAttr",
        question_ids=names,
        image_ids=names,
        whole=np.full(count, 2.0),
        removed=np.linspace(1.0, 1.4, count),
    )


def test_time_is_reported_where_it_was_taken_and_operations_elsewhere():
    right = shares(0, 0, 0, 0, 0, 0, 0)
    timed = Flow(_Measurements(table(right), times(40))).time_saved("ChooseAttr")
    assert timed.name.startswith("time saved")
    assert timed.value == pytest.approx(0.4)
    counted = Flow(_Measurements(table(right), times(0))).time_saved("ChooseAttr")
    assert counted.name.startswith("operations saved from layer 20 on")
    assert counted.value == pytest.approx(0.4)


def test_without_images_nothing_can_be_removed():
    flow = Flow(_Measurements(table(NONE), times(0)))
    with pytest.raises(NotApplicable, match=r"an image to be removed \(no-image: 3\)"):
        flow.removal("ChooseAttr")
    with pytest.raises(NotApplicable, match="no samples of any task"):
        flow.removal()


def test_a_decoder_of_one_layer_has_none_to_go_without_the_image():
    right = np.ones((4, 1), bool)
    with pytest.raises(NotApplicable, match="a decoder of one layer"):
        Flow(_Measurements(table(right, depth=1), times(0))).removal("ChooseAttr")


def test_a_test_that_reads_removal_is_watched_without_a_checkpoint():
    reads = watch(lambda flow: flow.time_saved("ChooseAttr", "QueryAttr"))
    assert reads.wants == {
        task: (ImageRemoval(), RemovalTime()) for task in ("ChooseAttr", "QueryAttr")
    }
    assert reads.second_opinions == {}


def test_the_last_half_begins_in_the_middle_or_just_after_it():
    assert [half_of(layers) for layers in (40, 33, 2, 1)] == [20, 17, 1, 1]
