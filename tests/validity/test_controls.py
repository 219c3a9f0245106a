"""Where there is nothing to find, nothing is found: controls on checkpoints whose flow is known."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forked import run_module

from mmflow_bench.checkpoints.loading import LoadedCheckpoint, load_checkpoint
from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.inputs.encoding import encode
from mmflow_bench.inputs.questions import QuestionFile
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.knockout import Knockout, layer_window
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.interventions.suffixes import knockout_logits
from mmflow_bench.measurements.answer import probabilities
from mmflow_bench.measurements.selection import SampleSet
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.mechanisms.bands import SIGNIFICANT
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.verdicts import Verdict
from mmflow_bench.planted.models import build
from mmflow_bench.positions.resolve import resolve_roles
from mmflow_bench.positions.roles import Role
from mmflow_bench.scenes.questions import scene_samples

pytestmark = pytest.mark.slow
MINI = "planted/mini"
SAMPLES = scene_samples(per_task=4, tasks=["ChooseAttr", "LogicalObj"])


@pytest.fixture(scope="module")
def checkpoint() -> LoadedCheckpoint:
    return load_checkpoint(resolve_checkpoint(MINI))


def clean_pass(checkpoint: LoadedCheckpoint, sample: Sample) -> tuple[CleanPass, Any]:
    encoded = encode(sample, checkpoint)
    inputs = {"input_ids": encoded.input_ids[None], **encoded.model_inputs}
    return clean_passes(checkpoint, [inputs])[0], resolve_roles(encoded, checkpoint)


def changes(
    checkpoint: LoadedCheckpoint,
    clean: CleanPass,
    sources: tuple[int, ...],
    targets: tuple[int, ...],
) -> np.ndarray:
    """Relative change of the answer's probability by window centre."""
    layers = checkpoint.decoder_layers
    knockouts = [
        Knockout(sources=sources, targets=targets, layers=layer_window(center, 3, layers))
        for center in range(layers)
    ]
    token = int(clean.logits.argmax())
    base = probabilities(clean.logits)[token]
    moved = probabilities(knockout_logits(checkpoint, clean, knockouts))[:, token]
    return ((moved - base) / base).numpy()


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.question_id)
def test_as_many_other_patches_at_random_change_nothing_where_the_related_ones_do(
    checkpoint: LoadedCheckpoint, sample: Sample
) -> None:
    clean, roles = clean_pass(checkpoint, sample)
    question, related = roles[Role.QUESTION], roles[Role.RELATED_PATCHES]
    draw = random.Random(sample.question_id)
    at_random = draw.sample(roles[Role.OTHER_PATCHES], len(related))
    lookup = 4
    drop = changes(checkpoint, clean, related, question)[lookup]
    control = changes(checkpoint, clean, tuple(sorted(at_random)), question)[lookup]
    assert drop < -0.05
    assert abs(control) < 1e-4


@pytest.mark.parametrize("sample", SAMPLES[::4], ids=lambda sample: sample.question_id)
@pytest.mark.parametrize("role", [Role.IMAGE, Role.RELATED_PATCHES, Role.OTHER_PATCHES])
def test_equation_7_read_to_the_letter_changes_nothing(
    checkpoint: LoadedCheckpoint, sample: Sample, role: Role
) -> None:
    """The paper's Eq. 7 keeps sources from attending to targets, which come after them."""
    clean, roles = clean_pass(checkpoint, sample)
    literal = changes(checkpoint, clean, sources=roles[Role.QUESTION], targets=roles[role])
    assert not literal.any()


def test_other_images_leave_no_answer_to_speak_of() -> None:
    samples = scene_samples(per_task=12, tasks=["ChooseAttr"])
    # Answers come in a cycle of eight: three further is always another one.
    images = [sample.image for sample in samples]
    shuffled = tuple(
        replace(sample, image=images[(index + 3) % len(images)])
        for index, sample in enumerate(samples)
    )
    file = QuestionFile(samples=shuffled, unscored=(), fingerprint="shuffled")
    measurements = Measurements(
        resolve_checkpoint(MINI), SampleSet(file), MeasurementSettings(self_test=False)
    )
    assert measurements.accuracy("ChooseAttr").accuracy < 0.3


def random_weights(folder: Path) -> Path:
    """The planted checkpoint as transformers initialises it: same shape, nothing written."""
    model, processor = build(MINI)
    torch.manual_seed(0)
    type(model)(model.config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def test_random_weights_hold_no_mechanism(tmp_path: Path) -> None:
    folder = random_weights(tmp_path / "random")
    suites = Path(__file__).parents[2] / "suites"
    run_module(
        "pytest",
        [
            *(str(suites), f"--model={folder}", "--limit=3", "-q", "-p", "no:cacheprovider"),
            f"--mmflow-output={tmp_path / 'runs'}",
        ],
        env=os.environ | {"MMFLOW_CACHE": str(tmp_path / "cache")},
    )
    (path,) = (tmp_path / "runs").glob("*/results.json")
    rows = json.loads(path.read_text())["mechanisms"]
    assert len(rows) > 100
    assert not [row["id"] for row in rows if row["verdict"] == "holds" and row["tier"] != "control"]


def test_random_weights_have_no_flow_to_find_even_where_answers_do_not_matter(
    tmp_path: Path,
) -> None:
    folder = random_weights(tmp_path / "random")
    measurements = Measurements.open(
        resolve_checkpoint(str(folder)),
        MeasurementSettings(limit="3", tasks=("ChooseAttr",), keep_incorrect=True),
    )
    flow = Flow(measurements)
    for edge in ("question -> last", "image -> question", "image -> last"):
        curve = flow(edge, "ChooseAttr")
        assert curve.peak.n == 4
        assert (curve.peak <= SIGNIFICANT).verdict is not Verdict.HOLDS, edge
