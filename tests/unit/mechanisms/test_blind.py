"""Numbers without the image, and what follows from them for curves."""

from __future__ import annotations

import numpy as np
import pytest

from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.measurements.blind import Blinding, BlindTable
from mmflow_bench.mechanisms.bands import TEXT_ANSWERABLE
from mmflow_bench.mechanisms.blind import BlindControl, blind_controls
from mmflow_bench.mechanisms.comparisons import Comparison
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.verdicts import NotApplicable

TASK = "ChooseAttr"


def table(blinding: Blinding = Blinding.REMOVED, **changes) -> BlindTable:
    """Four samples of three images; the last is answered wrongly."""
    given = {
        "task": TASK,
        "blinding": blinding,
        "question_ids": ("a", "b", "c", "d"),
        "image_ids": ("i", "i", "j", "k"),
        "is_correct": np.array([True, True, True, False]),
        "is_blind_correct": np.array([True, False, False, True]),
        "is_followed": np.array([True, True, True, False]),
        "base_probability": np.array([0.8, 0.5, 1.0, 0.9]),
        "blind_probability": np.array([0.4, 0.5, 0.1, 0.9]),
    }
    return BlindTable(**given | changes)


def test_accuracies_are_of_all_samples_and_probabilities_of_those_that_are_followed():
    blind = BlindControl(removed=table(), alpha=0.05)
    assert blind.accuracy.value == 0.75
    assert blind.accuracy_removed.value == 0.5
    assert blind.probability_removed.value == pytest.approx((0.4 + 0.5 + 0.1) / 3)
    assert blind.saturation.value == pytest.approx((-0.5 + 0.0 - 0.9) / 3)
    assert [blind.accuracy.n, blind.saturation.n] == [4, 3]
    assert blind.saturation.low < blind.saturation.value < blind.saturation.high
    assert (blind.accuracy_exchanged, blind.probability_exchanged) == (None, None)


def test_relative_changes_are_cut_where_the_reference_answer_is_followed():
    grown = table(blind_probability=np.array([0.8, 5.0, 1.0, 0.9]), ceiling=1.0)
    np.testing.assert_array_equal(grown.relative_change, [0.0, 1.0, 0.0, 0.0])


def test_without_a_followed_sample_nothing_is_said_of_probabilities():
    blind = BlindControl(removed=table(is_followed=np.zeros(4, bool)), alpha=0.05)
    assert blind.saturation is None
    assert blind.described() == {
        "accuracy_removed": 0.5,
        "accuracy_exchanged": None,
        "probability_removed": None,
        "probability_exchanged": None,
        "saturation": None,
        "n": 4,
    }


@pytest.mark.parametrize(
    ("of_ten", "verdict"), [(0, "holds"), (5, "holds"), (8, "inconclusive"), (10, "fails")]
)
def test_the_accuracy_must_be_shown_to_fall(measured, of_ten, verdict):
    flow = Flow(measured(n=100, blind_of_ten=of_ten))
    found = flow.blind(TASK).accuracy_falls_by(TEXT_ANSWERABLE)
    assert isinstance(found, Comparison)
    assert found.verdict == verdict


def test_either_way_of_taking_the_image_away_can_show_that_it_is_not_needed():
    many = {"question_ids": tuple(map(str, range(80))), "image_ids": tuple(map(str, range(80)))}
    many |= {name: np.ones(80) for name in ("base_probability", "blind_probability")}
    many |= {name: np.ones(80, bool) for name in ("is_correct", "is_followed")}
    lost, kept = np.zeros(80, bool), np.ones(80, bool)
    for removed, exchanged in ((lost, kept), (kept, lost)):
        blind = BlindControl(
            removed=table(**many, is_blind_correct=removed),
            exchanged=table(Blinding.EXCHANGED, **many, is_blind_correct=exchanged),
            alpha=0.05,
        )
        assert blind.accuracy_falls_by(0.2).verdict == "fails"


def test_what_shows_captions_has_no_image_to_be_taken_away(measured):
    for task in SIX_TASKS:
        with pytest.raises(NotApplicable, match="has an image to be taken away"):
            Flow(measured(captions=True)).blind(task)


def test_controls_are_found_among_other_tables():
    tables = [
        table(),
        table(Blinding.EXCHANGED),
        table(task="QueryAttr"),
        table(Blinding.EXCHANGED, task="alone"),
        table(task="empty", question_ids=()),
        object(),
    ]
    found = blind_controls(tables)
    assert set(found) == {TASK, "QueryAttr"}
    assert found[TASK].exchanged is tables[1]
    assert found["QueryAttr"].exchanged is None
