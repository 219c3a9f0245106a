"""Sec. 4: attention knockout is about questions that the checkpoint answers."""

import pytest

from mmflow_bench import Gate


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
