"""The whole instrument on a checkpoint whose flow is known: samples in, tables out."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.lens import Lens
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.measurements.tables import sweep_rows
from mmflow_bench.planted import closed_form

EDGES = (
    "question->last",
    "image->last",
    "last->last",
    "image->question",
    "related_patches->question",
    "other_patches->question",
)
pytestmark = pytest.mark.slow
TOLERANCE = 1e-4
"""0.01 percentage points of relative change, and of probability."""


def opened(name: str, **options: Any) -> Measurements:
    settings = MeasurementSettings(**({"limit": "1-3"} | options))
    return Measurements.open(resolve_checkpoint(name), settings)


def test_measured_curves_of_the_base_checkpoint_are_those_of_its_design() -> None:
    measurements = opened("planted/base", limit="1-2")
    asked = list(product(EDGES, (1, 9, 15)))
    for task in SIX_TASKS:
        measurements.ensure(task, [Sweep.of(edge, width=width) for edge, width in asked])
        for edge, width in asked:
            measured = measurements.table(task, Sweep.of(edge, width=width)).relative_change
            expected = closed_form.relative_change("planted/base", edge, width=width, task=task)
            assert len(measured) == 1
            assert np.abs(measured - expected).max() < TOLERANCE, (task, edge, width)


@pytest.mark.parametrize("variant", ["raw", "normed"])
def test_the_measured_lens_is_that_of_the_design(variant: str) -> None:
    measurements = opened("planted/mini")
    for task in SIX_TASKS:
        expected = dict(
            zip(
                ("noncapitalized", "capitalized"),
                closed_form.lens("planted/mini", task=task),
                strict=True,
            )
        )
        for probe, curve in expected.items():
            measured = measurements.table(task, Lens(probe=probe, variant=variant)).probability
            np.testing.assert_allclose(measured, np.tile(curve, (2, 1)), atol=TOLERANCE)


def test_samples_measured_together_are_those_measured_one_by_one() -> None:
    given = {"limit": "3", "tasks": ("ChooseAttr", "LogicalObj")}
    tables = [
        sweep_rows(opened("planted/mini", batch_size=size, **given), edges=EDGES, method="masked")
        for size in (1, 4)
    ]
    alone, together = (table.to_pydict() for table in tables)
    for column in alone.keys() - {"base_probability", "knockout_probability", "relative_change"}:
        assert alone[column] == together[column]
    for column in ("base_probability", "knockout_probability"):
        np.testing.assert_allclose(alone[column], together[column], rtol=1e-5)


def test_the_store_gives_back_what_was_measured(tmp_path: Path) -> None:
    given = {"tasks": ("ChooseAttr", "LogicalObj"), "cache": tmp_path}
    measured = sweep_rows(opened("planted/mini", **given), edges=EDGES, method="masked")
    read = opened("planted/mini", from_cache=True, **given)
    assert sweep_rows(read, edges=EDGES, method="masked").equals(measured)


def test_every_method_sees_that_the_question_is_read(tmp_path: Path) -> None:
    measurements = opened("planted/mini", cache=tmp_path, limit="3")
    for method in ("masked", "unnormalised", "counterfactual"):
        curve = measurements.table("ChooseAttr", Sweep.of("question->last", method=method))
        assert curve.relative_change.mean(axis=0).min() < -0.2, method


def test_the_counterfactual_table_says_what_the_other_image_would_answer() -> None:
    measurements = opened("planted/mini", limit="3", tasks=("ChooseAttr",))
    columns = sweep_rows(measurements, edges=["image->question"], method="counterfactual")
    rows = columns.to_pylist()
    by_layer = [row for row in rows if row["layer"] == 0]
    # Without its own image's context the answer is the donor's, at least in probability.
    assert all(row["knockout_probability"] < row["base_probability"] for row in by_layer)
    assert all(row["counterfactual_probability"] > 0.05 for row in by_layer)
    assert not any(row["is_flipped"] for row in rows if row["layer"] == 11)
    masked = sweep_rows(measurements, edges=["image->question"], method="masked")
    assert set(columns.column_names) - set(masked.column_names) == {
        "counterfactual_probability",
        "is_flipped",
    }


def test_a_part_is_read_from_the_same_store_with_the_same_donors(tmp_path: Path) -> None:
    whole = opened("planted/mini", limit="8", tasks=("ChooseAttr",), cache=tmp_path)
    part = whole.part()
    assert len(part.samples.of("ChooseAttr")) == 6
    of_part = part.table("ChooseAttr", Sweep.of("image->question", method="counterfactual"))
    of_whole = whole.table("ChooseAttr", Sweep.of("image->question", method="counterfactual"))
    assert set(of_part.question_ids) < set(of_whole.question_ids)
    kept = [of_whole.question_ids.index(name) for name in of_part.question_ids]
    np.testing.assert_array_equal(of_part.knockout_probability, of_whole.knockout_probability[kept])
    assert part.checkpoint is whole.checkpoint
