"""Curves of a run folder: together what belongs together, in the order of the file."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mmflow_bench.measurements.knockout_sweep import SweepTable
from mmflow_bench.runs.curves import LensCurves, SweptCurves, sampled_curves
from mmflow_bench.runs.folder import LENS, SAMPLES
from mmflow_bench.runs.records import SCHEMAS
from mmflow_bench.runs.tables import sweep_rows

IDS = ("q2", "q1", "q3")


def table(edge: str, window: int = 3, method: str = "masked") -> SweepTable:
    return SweepTable(
        edge=edge,
        task="T",
        window=window,
        method=method,
        question_ids=IDS,
        image_ids=("i", "i", "j"),
        base_probability=np.array([0.5, 0.25, 0.2]),
        knockout_probability=np.array([[0.25, 0.5], [0.25, 0.0], [0.1, 0.1]]),
    )


def test_what_was_written_is_read_as_the_same_curves():
    tables = [table("b->last"), table("a->last"), table("a->last", 1), table("a->last", 3, "other")]
    found = list(sampled_curves(SAMPLES, SweptCurves, sweep_rows(tables)))
    assert [(one.edge, one.method, one.window) for one in found] == [
        ("a->last", "masked", 1),
        ("a->last", "masked", 3),
        ("a->last", "other", 3),
        ("b->last", "masked", 3),
    ]
    for one in found:
        assert one.question_ids == IDS
        assert one.image_ids == ("i", "i", "j")
        assert np.array_equal(one.values, tables[0].relative_change)
        assert np.array_equal(one.base_probability, tables[0].base_probability)


def test_rows_that_lie_apart_are_one_curve_table():
    rows = sweep_rows([table("a->last"), table("b->last")])
    mixed = rows.take([5, 0, 3, 2, 4, 1])
    one, other = sampled_curves(SAMPLES, SweptCurves, mixed)
    assert one.question_ids == ("q2", "q3", "q1")
    assert np.array_equal(one.values, table("a->last").relative_change[[0, 2, 1]])
    assert other.question_ids == ("q3", "q2", "q1")


def test_some_samples_alone_keep_everything_that_is_said_of_them():
    (one,) = sampled_curves(SAMPLES, SweptCurves, sweep_rows([table("a->last")]))
    some = one.of_questions({"q3", "q2", "unknown"})
    assert (some.question_ids, some.image_ids, some.edge) == (("q2", "q3"), ("i", "j"), "a->last")
    assert some.base_probability.tolist() == [0.5, 0.2]
    assert np.array_equal(some.values, one.values[[0, 2]])
    assert one.of_questions(()).values.shape == (0, 2)


@pytest.mark.parametrize(("name", "kind"), [(SAMPLES, SweptCurves), (LENS, LensCurves)])
def test_an_empty_table_has_no_curves(name, kind):
    assert list(sampled_curves(name, kind, SCHEMAS[name].empty_table())) == []


def test_lists_that_arrow_holds_as_a_slice_of_others_are_their_own():
    rows = pa.concat_tables([sweep_rows([table("a->last")]), sweep_rows([table("b->last")])])
    (one,) = sampled_curves(SAMPLES, SweptCurves, rows.combine_chunks().slice(3))
    assert one.edge == "b->last"
    assert np.array_equal(one.values, table("b->last").relative_change)
