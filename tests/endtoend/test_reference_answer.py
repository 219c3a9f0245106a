"""`--follow=reference`: the reference answer's probability, on wrongly answered samples too."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.inputs.encoding import encode
from mmflow_bench.inputs.writing import write_samples
from mmflow_bench.interventions.definition import definition_logits
from mmflow_bench.interventions.knockout import Knockout, layer_window
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.lens import Lens
from mmflow_bench.measurements.records import Followed
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.measurements.tables import lens_rows, sweep_rows
from mmflow_bench.measurements.taking import model_inputs
from mmflow_bench.planted import closed_form
from mmflow_bench.positions.resolve import resolve_roles
from mmflow_bench.positions.roles import Role
from mmflow_bench.scenes.questions import scene_samples

TASK, EDGE, WIDTH = "QueryAttr", "image->question", 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scenes, each asked twice: with the right reference, and with that of the next one."""
    folder = tmp_path_factory.mktemp("asked")
    scenes = scene_samples(per_task=3, tasks=[TASK])
    for scene in scenes:
        scene.image.save(folder / f"{scene.image_id}.png")
    others = [next(o.answer for o in scenes if o.answer != s.answer) for s in scenes]
    right = [replace(s, question_id=f"right {i}") for i, s in enumerate(scenes)]
    wrong = [
        replace(s, question_id=f"wrong {i}", answer=other)
        for i, (s, other) in enumerate(zip(scenes, others, strict=True))
    ]
    write_samples([*right, *wrong], folder / "q.jsonl")
    return folder


def opened(folder: Path, follow: str, **options: Any) -> Measurements:
    settings = MeasurementSettings(
        questions=folder / "q.jsonl",
        self_test=False,
        follow=Followed(follow),
        **({"cache": folder / "cache", "images": folder} | options),
    )
    return Measurements.open(resolve_checkpoint("planted/mini"), settings)


def test_every_sample_is_followed_and_the_accuracy_is_what_it_was(folder):
    followed, own = (opened(folder, name) for name in ("reference", "answer"))
    names = [f"{kind} {i}" for kind in ("right", "wrong") for i in range(3)]
    assert followed.table(TASK, Sweep.of(EDGE, width=WIDTH)).question_ids == tuple(names)
    assert own.table(TASK, Sweep.of(EDGE, width=WIDTH)).question_ids == tuple(names[:3])
    assert followed.accuracy(TASK) == own.accuracy(TASK)
    assert own.accuracy(TASK).correct == 3


def test_its_probability_is_that_of_one_plain_forward_pass_per_knockout(folder):
    measurements = opened(folder, "reference")
    checkpoint = measurements.checkpoint
    table = measurements.table(TASK, Sweep.of(EDGE, width=WIDTH))
    ids = checkpoint.tokenizer.convert_tokens_to_ids
    for row, sample in enumerate(measurements.samples.of(TASK)):
        words = [ids(sample.answer.lower()), ids(sample.answer.capitalize())]
        encoded = encode(sample, checkpoint)
        roles = resolve_roles(encoded, checkpoint)
        for layer in range(measurements.decoder_layers):
            window = layer_window(layer, WIDTH, measurements.decoder_layers)
            knockout = Knockout(
                sources=roles[Role.IMAGE], targets=roles[Role.QUESTION], layers=window
            )
            logits = definition_logits(checkpoint, model_inputs(encoded), knockout)
            expected = float(logits.double().softmax(-1)[words].sum())
            assert table.knockout_probability[row, layer] == pytest.approx(expected, rel=1e-4)


def test_both_cases_of_the_right_answer_are_in_it(folder):
    table = opened(folder, "reference").table(TASK, Sweep.of(EDGE, width=WIDTH))
    lower, capital = closed_form.lens("planted/mini", task=TASK)
    np.testing.assert_allclose(table.base_probability[:3], lower[-1] + capital[-1], atol=1e-4)
    own = opened(folder, "answer").table(TASK, Sweep.of(EDGE, width=WIDTH))
    assert (table.base_probability[:3] > own.base_probability).all()


def test_a_gain_beyond_the_ceiling_is_cut_and_the_probability_is_not(folder):
    table = opened(folder, "reference").table(TASK, Sweep.of(EDGE, width=WIDTH))
    gain = table.knockout_probability / table.base_probability[:, None] - 1
    assert gain[3:].max() > 1
    np.testing.assert_allclose(table.relative_change, np.minimum(gain, 1), atol=1e-12)


def test_the_lens_on_the_answer_is_on_the_reference(folder):
    measurements = opened(folder, "reference")
    answer, *cases = (
        measurements.table(TASK, Lens(probe=probe, variant="normed"))
        for probe in ("answer", "capitalized", "noncapitalized")
    )
    assert len(answer.question_ids) == 6
    both = sum(case.probability for case in cases)
    np.testing.assert_allclose(answer.probability, both, rtol=1e-9)


def test_what_was_followed_first_is_not_measured_again(folder, tmp_path):
    first = opened(folder, "reference", cache=tmp_path)
    sweep_rows(first, edges=[EDGE], method="masked", width=WIDTH)
    lens_rows(first)
    stored = opened(folder, "answer", cache=tmp_path, from_cache=True)
    fresh = opened(folder, "answer", cache=tmp_path / "other")
    tables = [
        sweep_rows(one, edges=[EDGE], method="masked", width=WIDTH).drop_columns("checkpoint")
        for one in (stored, fresh)
    ]
    assert tables[0].num_rows == 3 * stored.decoder_layers
    for name in ("question_id", "layer", "answer_token_id"):
        assert tables[0][name].equals(tables[1][name])
    for name in ("base_probability", "knockout_probability"):
        one, other = (table[name].to_numpy() for table in tables)
        np.testing.assert_allclose(one, other, rtol=1e-4)


def test_a_reference_that_no_token_begins_is_counted_with_its_reason(folder, tmp_path):
    samples = list(opened(folder, "reference").samples.of(TASK))
    write_samples([samples[0], replace(samples[1], answer="∅")], tmp_path / "q.jsonl")
    measurements = opened(tmp_path, "reference", images=folder, cache=tmp_path / "cache")
    assert measurements.table(TASK, Sweep.of(EDGE, width=WIDTH)).question_ids == ("right 0",)
    assert measurements.refusals(TASK) == {"reference": {"reference-without-probability": 1}}
