"""Edges between several roles at once, from the command line to the store and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.cli.rows import parse_edges
from mmflow_bench.inputs.encoding import encode
from mmflow_bench.interventions.definition import definition_logits
from mmflow_bench.interventions.knockout import Edge, Knockout, layer_window
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.measurements.taking import model_inputs
from mmflow_bench.positions.resolve import resolve_roles
from mmflow_bench.positions.roles import Role

OPTIONS = "true_option+false_option->last"
IMAGE = "image->question+last+suffix"
EVERYTHING = Edge(sources=tuple(Role), targets=tuple(Role))


@pytest.fixture
def measured(tmp_path: Path) -> Measurements:
    settings: dict[str, Any] = {"limit": "1", "tasks": ("ChooseAttr", "QueryAttr")}
    return Measurements.open(
        resolve_checkpoint("planted/true-false-option"),
        MeasurementSettings(**settings, cache=tmp_path, self_test=False),
    )


def test_the_command_line_spells_a_union_as_stores_do() -> None:
    typed = "false_option + true_option -> last, true_option+false_option->last"
    assert parse_edges(typed) == (OPTIONS,)


@pytest.mark.parametrize("edge", [OPTIONS, IMAGE])
def test_a_union_is_cut_as_the_positions_of_its_roles(measured: Measurements, edge: str) -> None:
    """By the definition: a whole forward pass with every one of these edges masked."""
    table = measured.table("ChooseAttr", Sweep.of(edge, width=9))
    checkpoint, samples = measured.checkpoint, measured.samples.of("ChooseAttr")
    (sample,) = [one for one in samples if one.question_id == table.question_ids[0]]
    encoded = encode(sample, checkpoint)
    roles = resolve_roles(encoded, checkpoint)
    sources, targets = (side.split("+") for side in edge.split("->"))
    cut = [tuple({i for role in side for i in roles[Role(role)]}) for side in (sources, targets)]
    for center in (0, 12, 22):
        knockout = Knockout(sources=cut[0], targets=cut[1], layers=layer_window(center, 9, 40))
        logits = definition_logits(checkpoint, model_inputs(encoded), knockout)
        expected = float(logits.softmax(dim=-1)[table.answer_token_ids[0]])
        assert table.knockout_probability[0, center] == pytest.approx(expected, rel=1e-5)
    assert np.abs(table.relative_change).max() > 0.1


def test_a_sample_that_lacks_a_role_lacks_the_union(measured: Measurements) -> None:
    assert measured.table("QueryAttr", Sweep.of(OPTIONS)).question_ids == ()
    assert measured.refusals("QueryAttr")[OPTIONS] == {"no-options": 2}
    assert measured.table("QueryAttr", Sweep.of(IMAGE)).question_ids != ()


def test_a_union_of_very_many_roles_still_names_a_file(measured: Measurements) -> None:
    edge = str(EVERYTHING)
    assert len(edge) > 255
    name = Sweep.of(edge).at(3).shard.name
    assert len(name) < 100
    assert name != Sweep.of(edge.replace("->image+", "->")).at(3).shard.name
    # The question has no caption, and so no such edge.
    assert measured.table("QueryAttr", Sweep.of(edge)).question_ids == ()
    assert measured.refusals("QueryAttr")[edge] == {"no-caption": 2}
