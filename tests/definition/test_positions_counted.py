"""Nothing is computed twice: positions through decoder layers, counted over everything asked."""

from __future__ import annotations

import catalogue_cost
import pytest
from random_checkpoints import counting

from mmflow_bench.inputs.encoding import encode
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.knockout import Knockout
from mmflow_bench.interventions.readout import all_logits
from mmflow_bench.interventions.suffixes import knockout_logits, knockout_readings
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.question_semantics import QuestionSemantics
from mmflow_bench.measurements.taking import model_inputs

MOST_FORWARDS = 37
"""docs/decisions/064-what-the-whole-catalogue-computes.md."""


@pytest.mark.slow
def test_the_whole_catalogue_computes_no_more_than_is_documented():
    # The task of which most is asked; how wide the decoder is does not matter.
    options = catalogue_cost.parser().parse_args(["--task=ChooseRel", "--width=32"])
    asked = catalogue_cost.Asked(options)
    forward = options.layers * encode(asked.sample, asked.checkpoint).input_ids.shape[0]
    whole = asked.positions(asked.wants) / forward
    # Most of it is asked of this sample: little measured would be little computed.
    assert 0.8 * MOST_FORWARDS < whole <= MOST_FORWARDS


@pytest.fixture(scope="module")
def few_layers():
    options = catalogue_cost.parser().parse_args(["--layers=6", "--width=32", "--patches=8"])
    return catalogue_cost.Asked(options)


def test_a_sweep_is_left_by_what_the_question_says_without_its_edge(few_layers):
    sweep = Sweep.of("image -> question", width=3)
    meaning = QuestionSemantics.of("image -> question", width=3)
    assert few_layers.positions([meaning, sweep]) == few_layers.positions([meaning])
    assert few_layers.positions([meaning]) > few_layers.positions([])


def test_what_changes_nothing_is_left_to_the_clean_logits(few_layers):
    checkpoint = few_layers.checkpoint
    (clean,) = clean_passes(checkpoint, [model_inputs(encode(few_layers.sample, checkpoint))])
    # No position sees a later one.
    nothing, something = (
        Knockout(sources=(source,), targets=(4,), layers=range(2)) for source in (5, 3)
    )
    readout = all_logits()
    knockout_readings(
        checkpoint,
        clean,
        [nothing, something],
        positions=[6],
        read=lambda states: states[:, 0],
        readout=readout,
    )
    assert set(readout.kept) == {something}


def test_rows_are_counted_where_they_first_go_through_a_layer(few_layers):
    checkpoint = few_layers.checkpoint
    (clean,) = clean_passes(checkpoint, [model_inputs(encode(few_layers.sample, checkpoint))])
    last, layers = clean.length - 1, len(clean.keys)
    knockout = Knockout(sources=(3,), targets=(last,), layers=range(layers - 1, layers))
    with counting(checkpoint) as positions:
        knockout_logits(checkpoint, clean, [knockout])
        # The clean row in every layer, and another one in the last.
        assert positions() == layers + 1


def test_what_is_shared_is_what_is_measured_alone(few_layers):
    sweep = Sweep.of("image -> question", width=3)
    meaning = QuestionSemantics.of("image -> question", width=3)
    alone, together = few_layers.measure([sweep]), few_layers.measure([sweep, meaning])
    for one, other in zip(alone[sweep.shard], together[sweep.shard], strict=True):
        assert other["knockout_probability"] == pytest.approx(one["knockout_probability"], rel=1e-5)
