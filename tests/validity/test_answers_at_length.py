"""Rows on several pieces and long answers: each holds on one planted checkpoint, fails on one."""

from __future__ import annotations

import pytest
from many_images import of_many

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.mechanisms.comparisons import Recorder, current_recorder
from mmflow_bench.mechanisms.declared import shipped
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.verdicts import verdict_of

pytestmark = pytest.mark.slow
PIECES = ("sub-last-edges", "sub-imgq", "sub-patches")
TASK = "ChooseAttr"


def flow_of(name: str, *tasks: str) -> Flow:
    settings = MeasurementSettings(limit="1-3", tasks=tasks, self_test=False)
    return Flow(of_many(Measurements.open(resolve_checkpoint(name), settings)))


def verdict(name: str, flow: Flow, *task: str) -> str:
    (test,) = (one for one in shipped() if one.declaration.id == name)
    token = current_recorder.set(Recorder())
    ending: BaseException | None = None
    try:
        test.function(flow, *task)
    except Exception as error:
        ending = error
    finally:
        current_recorder.reset(token)
    return str(verdict_of(ending))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("planted/two-pieces", "holds"), ("planted/pieces-by-rote", "fails")],
)
def test_rows_of_the_last_piece_hold_where_it_is_read_and_fail_where_it_is_known(
    name: str, expected: str
) -> None:
    flow = flow_of(name, TASK)
    assert {row: verdict(row, flow, TASK) for row in PIECES} == dict.fromkeys(PIECES, expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("planted/sentence-from-image", "holds"), ("planted/sentence-from-question", "fails")],
)
def test_long_answers_read_the_image_where_that_is_planted(name: str, expected: str) -> None:
    assert verdict("x-long-answer", flow_of(name)) == expected
