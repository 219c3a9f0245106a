"""What we claim of our checkpoint, on our questions."""

import pytest

from mmflow_bench import Gate, report

TASKS = ("which-of-two", "open-question")
ARRIVAL = Gate("centre", "image -> question")
"""What a comparison with another checkpoint looks at."""


@pytest.mark.mechanism(
    "photo-before-reading", section="ours", gate=Gate("centre", "image -> question")
)
@pytest.mark.parametrize("task", TASKS)
def test_photo_before_reading(flow, task):
    """The photo is in the question before the answer's position reads it."""
    into_question = flow("image -> question", task)
    into_last = flow("question -> last", task)
    assert into_question.peak <= -0.2
    assert into_question.centre < into_last.centre


@pytest.mark.mechanism("object-not-shown-directly", section="ours", tier="control")
@pytest.mark.parametrize("task", TASKS)
def test_object_not_shown_directly(flow, task):
    """The answer's position sees nothing of the object asked about by itself."""
    assert flow("related_patches -> last", task).peak >= -0.1


@pytest.mark.mechanism("question-read-midway", section="ours", minimum_accuracy=0.9)
def test_question_read_midway(flow):
    """The answer's position reads the question in the middle third of the depth."""
    reading = flow("question -> last", "open-question")
    assert (reading.peak <= -0.2) & reading.peak_depth.within(1 / 3, 2 / 3)


@pytest.mark.mechanism("rest-of-the-photo", section="ours")
@pytest.mark.parametrize("task", TASKS)
def test_rest_of_the_photo(flow, task):
    """What the question owes to patches without the object: a number, and no verdict."""
    assert report(flow("other_patches -> question", task).peak)
