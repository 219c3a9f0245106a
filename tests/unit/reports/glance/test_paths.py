"""What a run has shown of each path, and where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from flows import BASE, drop, flow_record, hill

from mmflow_bench.reports.glance.flow import glance_of
from mmflow_bench.reports.glance.paths import State


def paths(folder, curves, **values):
    return {path.edge.name: path for path in glance_of(flow_record(folder, curves, **values)).paths}


def test_a_drop_is_shown_where_it_is_and_as_deep_as_it_is(tmp_path):
    found = paths(tmp_path, BASE, spread=0.1)
    last = found["question->last"]
    assert last.state is State.SHOWN
    assert [(s.first, s.last, s.peak) for s in last.stretches] == [(11, 15, 13)]
    assert last.effect == pytest.approx(0.8, abs=0.02)
    assert [(s.first, s.last) for s in found["image->question"].stretches] == [(0, 3), (6, 9)]


def test_a_path_without_a_drop_is_absent_where_there_are_images_enough_to_say_so(tmp_path):
    found = paths(tmp_path / "many", BASE)["image->last"]
    assert found.state is State.ABSENT
    assert not found.stretches
    assert paths(tmp_path / "few", BASE, images=4)["image->last"].state is State.UNDECIDED


def test_images_that_disagree_leave_a_path_undecided_and_it_is_drawn_where_it_may_be(tmp_path):
    # Half of the images lose nothing and half of them a tenth: of six that may be chance.
    found = paths(tmp_path, {"image->last": hill(5, 9, 0.05)}, images=6, spread=1.0)["image->last"]
    assert found.state is State.UNDECIDED
    assert [(s.first, s.last) for s in found.stretches] == [(5, 9)]


def test_what_is_negligible_beside_a_drop_is_no_stretch_of_its_own(tmp_path):
    curve = drop((3, 0.6), (12, 0.03))
    found = paths(tmp_path, {"question->last": curve}, spread=0.1)["question->last"]
    assert [s.first for s in found.stretches] == [3]


def test_other_methods_and_other_widths_do_not_count(tmp_path):
    record = flow_record(tmp_path, {"question->last": hill(2, 6, 0.5)}, spread=0.1)
    (own,) = record.sweeps
    strange = [
        replace(own, method="counterfactual", values=np.full_like(own.values, 5.0)),
        replace(own, window=1, values=np.full_like(own.values, 5.0)),
    ]
    record.__dict__["sweeps"] = (own, *strange)
    (path,) = glance_of(record).paths
    assert path.samples == len(own.question_ids)
    assert path.effect == pytest.approx(0.5, abs=0.02)


def test_the_whole_gives_way_to_parts_that_are_shown_and_to_no_others(tmp_path):
    parts = {"related_patches->question": hill(6, 9, 0.3), "other_patches->question": drop()}
    shown = glance_of(flow_record(tmp_path / "shown", BASE | parts, spread=0.1))
    names = {path.edge.name for path in shown.drawn}
    assert "related_patches->question" in names
    assert "image->question" not in names
    none = {name: drop() for name in parts}
    hidden = glance_of(flow_record(tmp_path / "hidden", BASE | none, spread=0.1))
    assert "image->question" in {path.edge.name for path in hidden.drawn}


def test_one_image_shows_nothing(tmp_path):
    assert {p.state for p in paths(tmp_path, BASE, images=1).values()} == {State.UNDECIDED}
