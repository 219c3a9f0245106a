"""Sec. 4: attention knockout is about questions that the checkpoint answers."""

import pytest


@pytest.mark.mechanism("acc-95")
def test_answers_are_correct(flow):
    flow.require(*flow.tasks)
    assert flow.accuracy(*flow.tasks) >= 0.95
