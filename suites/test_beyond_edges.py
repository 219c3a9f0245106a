"""What the paper's edges leave out: words after the question, and background that says where."""

import pytest

from mmflow_bench import SIX_TASKS, report
from mmflow_bench.mechanisms.bands import SLIGHT
from mmflow_bench.mechanisms.several import all_of

pytestmark = pytest.mark.mechanism(section="beyond the paper, edges", suite="all")


@pytest.mark.mechanism("x-suffix-in", citation="arXiv:2509.17588")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_how_much_of_the_image_the_suffix_reads(flow, task):
    """So much of the image reaches the words after the question, instruction and role."""
    assert report(flow("image -> suffix", task).peak)


@pytest.mark.mechanism("x-suffix-in-question", citation="arXiv:2509.17588")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_how_much_of_the_question_the_suffix_reads(flow, task):
    """So much of the question reaches the words after it, instruction and role."""
    assert report(flow("question -> suffix", task).peak)


@pytest.mark.mechanism("x-suffix-out", citation="arXiv:2509.17588")
@pytest.mark.parametrize("task", SIX_TASKS)
def test_the_question_is_the_hub(flow, task):
    """The question gives the last position more than the words after it do."""
    question, suffix = (flow(f"{role} -> last", task).peak for role in ("question", "suffix"))
    assert question / (question + suffix) >= 0.5


@pytest.mark.mechanism("x-bg-spatial", citation="arXiv:2603.22278")
def test_background_says_where_things_are(flow):
    """Where a place is asked for, the background still reaches the question the second time."""
    edge, places = "other_patches -> question", ("ChooseRel", "QueryAttr")
    # Other questions about other images: what is drawn again is the images of both.
    what = flow.second_drop(edge, "ChooseAttr").peak
    drops = [flow.second_drop(edge, task).peak for task in places]
    assert all_of([(where <= SLIGHT) & (where < what) for where in drops])
