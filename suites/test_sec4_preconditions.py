"""Sec. 4: attention knockout is about questions that the checkpoint answers."""

import pytest

from mmflow_bench import SIX_TASKS, Gate
from mmflow_bench.mechanisms.bands import TEXT_ANSWERABLE
from mmflow_bench.mechanisms.paper import PAPER_MODELS


@pytest.mark.mechanism(
    "acc-95",
    section="Sec. 4, preconditions",
    citation="Sec. 4",
    tier="control",
    gate=Gate("accuracy"),
)
def test_answers_are_correct(flow):
    """The checkpoint answers at least 95% of the questions correctly."""
    assert flow.accuracy(*flow.tasks) >= 0.95


@pytest.mark.mechanism(
    "ds-blind",
    section="Sec. 4, preconditions",
    citation="Sec. 4",
    tier="control",
    unsaid_of=PAPER_MODELS,
)
@pytest.mark.parametrize("task", SIX_TASKS)
def test_questions_need_their_image(flow, task):
    """The questions cannot be answered without their image, nor with another one."""
    assert flow.blind(task).accuracy_falls_by(TEXT_ANSWERABLE)
