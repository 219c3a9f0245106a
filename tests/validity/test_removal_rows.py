"""What the rows of App. F say where the late layers need the image, and where they do not."""

from __future__ import annotations

from pathlib import Path

import pytest
from many_images import of_many

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.inputs.questions import QuestionFile
from mmflow_bench.measurements.selection import SampleSet
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.mechanisms.declared import declared_in
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.verdicts import Verdict, verdict_of
from mmflow_bench.scenes.questions import scene_samples

ROWS = Path(__file__).parents[2] / "suites" / "test_appF_removal.py"
SAFE = {"prune-last20-acc": "holds", "prune-last20-time": "report", "prune-curve": "holds"}
UNSAFE = SAFE | {"prune-last20-acc": "fails", "prune-curve": "fails"}


def verdicts(name: str) -> dict[str, Verdict | None]:
    """Of every row, on one sample of two tasks that stands for a hundred."""
    samples = scene_samples(per_task=1, tasks=["ChooseAttr", "QueryAttr"])
    file = QuestionFile(samples=samples, unscored=(), fingerprint="")
    settings = MeasurementSettings(self_test=False)
    flow = Flow(of_many(Measurements(resolve_checkpoint(name), SampleSet(file), settings)))
    found = {}
    for test in declared_in([ROWS]):
        ending = None
        try:
            test.function(flow=flow)
        except Exception as error:
            ending = error
        found[test.declaration.id] = verdict_of(ending)
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("planted/base", SAFE),
        ("planted/prune-safe", SAFE),
        ("planted/prune-unsafe", UNSAFE),
        # The objects are looked up at layer 22, the context is read at 0: the answer survives.
        ("planted/late-stage-2", SAFE),
    ],
)
def test_rows_fail_exactly_where_late_layers_need_the_image(
    name: str, expected: dict[str, str]
) -> None:
    assert verdicts(name) == expected
