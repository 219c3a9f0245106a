"""What a family lacks makes a mechanism not applicable, with the reason; never inconclusive."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mmflow_bench.inputs.questions import QuestionFile
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.selection import SampleSet
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.verdicts import NotApplicable


class Opened(Measurements):
    """Measurements of a checkpoint that is in memory already."""

    def __init__(self, checkpoint, samples, cache):
        spec = replace(checkpoint.spec, builder="tests:tiny")
        self.given = checkpoint
        super().__init__(spec, samples, MeasurementSettings(cache=cache, keep_incorrect=True))

    @property
    def checkpoint(self):
        self.store.remember({"decoder_layers": self.given.decoder_layers})
        return self.given


@pytest.fixture
def opened(family_checkpoint, photo_sample, tmp_path, monkeypatch):
    def open_(family):
        samples = tuple(photo_sample(120, 60, seed=seed) for seed in range(3))
        file = QuestionFile(samples=samples, unscored=(), fingerprint="tiny")
        monkeypatch.setattr("mmflow_bench.measurements.session.fingerprint", lambda spec: spec.name)
        return Opened(family_checkpoint(family), SampleSet(file), tmp_path)

    return open_


def test_an_unknown_grid_is_not_applicable_with_its_reason(opened, monkeypatch):
    monkeypatch.setattr("mmflow_bench.inputs.encoding.image_layout", lambda _: None)
    measurements = opened("internvl")
    flow = Flow(measurements)
    with pytest.raises(NotApplicable, match=r"related_patches.*\(unsupported-image-grid: 3\)"):
        flow("related_patches -> question", "ChooseAttr", width=1)
    flow("image -> question", "ChooseAttr", width=1)
    assert (
        len(measurements.table("ChooseAttr", Sweep.of("image->question", width=1)).question_ids)
        == 3
    )


def test_newlines_belong_to_tiles_of_one_grid(opened):
    with pytest.raises(NotApplicable, match=r"newline->question \(no-newlines: 3\)"):
        Flow(opened("internvl"))("newline -> question", "ChooseAttr", width=1)


@pytest.mark.parametrize("family", ["paligemma", "gemma3", "qwen2_vl"])
def test_every_family_is_measured_from_end_to_end(opened, family):
    measurements = opened(family)
    Flow(measurements)("related_patches -> question", "ChooseAttr", width=1)
    table = measurements.table("ChooseAttr", Sweep.of("related_patches->question", width=1))
    assert len(table.question_ids) == 3
    assert measurements.noise_floor < 1e-4
