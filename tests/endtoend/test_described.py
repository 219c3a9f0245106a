"""What a report says of a sample is what the checkpoint was asked, and saw."""

from __future__ import annotations

import pytest

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.inputs.encoding import encode
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.positions.resolve import resolve_roles
from mmflow_bench.positions.roles import Role


@pytest.fixture(scope="module")
def measured() -> Measurements:
    settings = MeasurementSettings(tasks=("ChooseAttr",), limit="2", self_test=False)
    opened = Measurements.open(resolve_checkpoint("planted/mini"), settings)
    opened.ensure("ChooseAttr")
    return opened


def test_related_patches_are_the_positions_that_are_cut(measured):
    samples = {sample.question_id: sample for sample in measured.samples.of("ChooseAttr")}
    rows = measured.described()
    assert [row["question_id"] for row in rows] == list(samples)
    for row in rows:
        encoded = encode(samples[row["question_id"]], measured.checkpoint)
        roles = resolve_roles(encoded, measured.checkpoint)
        first = min(roles[Role.IMAGE])
        assert row["patches"]["related"] == [p - first for p in roles[Role.RELATED_PATCHES]]


def test_the_cells_that_are_drawn_overlap_the_boxes(measured):
    for row in measured.described():
        grid = row["patches"]
        cells = [divmod(cell, grid["columns"]) for cell in grid["related"]]
        for x, y, width, height in row["boxes"]:
            assert any(
                grid["left"] + column * grid["cell_width"] < x + width
                and x < grid["left"] + (column + 1) * grid["cell_width"]
                and grid["top"] + line * grid["cell_height"] < y + height
                and y < grid["top"] + (line + 1) * grid["cell_height"]
                for line, column in cells
            )


def test_question_answer_and_prediction_are_those_of_the_sample(measured):
    sample = measured.samples.of("ChooseAttr")[0]
    row = measured.described()[0]
    assert (row["question"], row["answer"]) == (sample.question, sample.answer)
    assert row["is_correct"]
    assert row["prediction"].lower() == sample.answer.lower()
