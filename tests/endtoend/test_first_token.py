"""What answers begin with, from measuring to the statement about it."""

from __future__ import annotations

import pytest

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.measurements.first_token import FirstToken
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.mechanisms.flow import Flow

pytestmark = pytest.mark.slow


def test_answers_that_begin_with_a_word_begin_with_no_line_break() -> None:
    settings = MeasurementSettings(limit="2", self_test=False)
    measurements = Measurements.open(resolve_checkpoint("planted/mini"), settings)
    table = measurements.table("ChooseAttr", FirstToken())
    answers = {row["question_id"]: row["prediction"] for row in measurements.answered()}
    assert len(set(table.image_ids)) == 2
    for question, text in zip(table.question_ids, table.texts, strict=True):
        assert text == answers[question]
    share = Flow(measurements).line_break_share("ChooseAttr")
    assert (share.value, share.n) == (0.0, len(table.texts))
