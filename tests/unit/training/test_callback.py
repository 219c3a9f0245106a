"""`FlowCallback` in the real Trainer: it sees, tells and stops, and disturbs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_llava import LAYERS, encoded_scenes, tiny_llava
from transformers import Trainer, TrainerCallback, TrainingArguments

import mmflow_bench as mm
from mmflow_bench.errors import (
    CheckpointError,
    KnockoutError,
    MechanismError,
    SelectionError,
    StoreError,
)
from mmflow_bench.training import FlowCallback, read_steps

STEPS = 4
ASKED = {"tasks": ["ChooseAttr"], "limit": 2, "follow": "reference"}
NUMBERS = ("flow/ChooseAttr/accuracy", "flow/ChooseAttr/image->question/peak", "flow/seconds")


def trained(
    folder: Path, flow: FlowCallback | None = None, *, is_added: bool = True, **settings: Any
) -> Trainer:
    """A tiny model after a few steps."""
    resume = settings.pop("resume", None)
    model, processor = tiny_llava()
    arguments = TrainingArguments(
        output_dir=str(folder / "out"),
        **{
            "max_steps": STEPS,
            "per_device_train_batch_size": 1,
            "learning_rate": 1e-2,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": "none",
            "use_cpu": True,
            "disable_tqdm": True,
            "seed": 3,
            **settings,
        },
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=encoded_scenes(processor, STEPS),
        processing_class=processor,
        callbacks=[flow] if flow is not None and not is_added else [],
    )
    if flow is not None and is_added:
        assert flow.add_to(trainer) is flow
    trainer.train(resume_from_checkpoint=resume)
    return trainer


def losses(trainer: Trainer) -> list[float]:
    return [one["loss"] for one in trainer.state.log_history if "loss" in one]


@pytest.mark.parametrize("settings", [{}, {"bf16": True}, {"gradient_checkpointing": True}])
def test_a_training_is_the_same_with_it_and_without(tmp_path: Path, settings: dict) -> None:
    alone = trained(tmp_path / "alone", **settings)
    flow = FlowCallback(output=tmp_path / "flow", every=2, **ASKED)
    watched = trained(tmp_path / "watched", flow, **settings)
    assert len(losses(alone)) == STEPS
    assert losses(alone) == losses(watched)
    pairs = zip(alone.model.parameters(), watched.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    assert [one["grad_norm"] for one in alone.state.log_history if "grad_norm" in one] == [
        one["grad_norm"] for one in watched.state.log_history if "grad_norm" in one
    ]
    assert [step.step for step in flow.measured] == [0, 2, 4]
    # And it is the instrument that it is elsewhere.
    assert all(check.passed for check in mm.read(flow.measured[0].folder).record.results.self_test)


class Reporter(TrainerCallback):
    """What reports elsewhere sees."""

    def __init__(self) -> None:
        self.seen: dict[int, dict[str, float]] = {}

    def on_log(self, args, state, control, logs=None, **given) -> None:  # noqa: ARG002
        self.seen.setdefault(state.global_step, {}).update(logs or {})


def test_numbers_go_through_the_trainer_to_whatever_it_reports_to(tmp_path: Path) -> None:
    flow = FlowCallback(output=tmp_path / "flow", every=3, **ASKED)
    reporter = Reporter()
    model, processor = tiny_llava()
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(tmp_path), max_steps=STEPS, save_strategy="no", report_to="none",
            use_cpu=True, disable_tqdm=True, per_device_train_batch_size=1,
        ),
        train_dataset=encoded_scenes(processor, STEPS),
        processing_class=processor,
        callbacks=[reporter],
    )  # fmt: skip
    flow.add_to(trainer)
    trainer.train()
    for step in (0, 3, 4):
        assert set(NUMBERS) <= set(reporter.seen[step])
    told = [one for one in trainer.state.log_history if NUMBERS[0] in one]
    assert [one["step"] for one in told] == [0, 3, 4]


def test_without_a_trainer_numbers_join_the_next_log(tmp_path: Path) -> None:
    flow = FlowCallback(output=tmp_path / "flow", every=2, **ASKED)
    trainer = trained(tmp_path, flow, is_added=False)
    told = [one for one in trainer.state.log_history if NUMBERS[0] in one]
    assert [one["step"] for one in told] == [1, 2, 4]
    assert "loss" in told[1]


def test_each_step_leaves_a_run_that_can_be_read(tmp_path: Path) -> None:
    flow = FlowCallback(["image -> question"], output=tmp_path / "flow", every=2, **ASKED)
    trained(tmp_path, flow)
    steps = read_steps(tmp_path / "flow")
    assert list(steps) == [0, 2, 4]
    for step, run in steps.items():
        curve = run.flow("image -> question", "ChooseAttr")
        assert curve.layers == LAYERS
        number = flow.measured[list(steps).index(step)].numbers[NUMBERS[1]]
        assert curve.peak.value == pytest.approx(number, abs=1e-9)
    fingerprints = {run.record.results.checkpoint.fingerprint for run in steps.values()}
    assert len(fingerprints) == 3
    assert mm.read(tmp_path / "flow" / "step-000002").name == "step-000002"
    # Proved once: the weights have changed since, and not the engine.
    assert [len(run.record.results.self_test) > 0 for run in steps.values()] == [True, False, False]


DRIFTING = {"mechanisms": ["acc-95", "q-last-drop", "imgq-drop1"], "tolerance": 0.001}


@pytest.mark.slow
@pytest.mark.parametrize(("on_drift", "last"), [("mark", 4), ("stop", 1)])
def test_a_mechanism_that_leaves_its_tolerance_is_told_or_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_drift: Any, last: int
) -> None:
    from mmflow_bench.training import steps as module

    monkeypatch.setattr(module, "_drift", lambda found: ("moved",) if found.rows else ())
    flow = FlowCallback(
        output=tmp_path / "flow", every=1, on_drift=on_drift, twins=False, **DRIFTING, **ASKED
    )
    trainer = trained(tmp_path, flow)
    assert trainer.state.global_step == last
    assert [bool(step.drift) for step in flow.measured] == [False] + [True] * last
    found = mm.read(flow.measured[1].folder)
    assert found.comparison is not None
    assert found.gate is not None
    assert found.gate.why == ("moved",)
    assert [one["flow/drift"] for one in trainer.state.log_history if "flow/drift" in one] == [
        0.0, *[1.0] * last,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"every": 0}, ValueError, "every takes"),
        ({"on_drift": "cry"}, ValueError, "on_drift takes"),
        ({"on_drift": "stop"}, MechanismError, "mechanisms that may drift"),
        ({"edges": "image -> question"}, MechanismError, "a list of edges"),
        ({"edges": []}, MechanismError, "a list of edges"),
        ({"edges": ["imgae -> question"]}, KnockoutError, "imgae"),
        ({"mechanisms": ["q-last-dorp"]}, SelectionError, "q-last-drop"),
        ({"limitt": 3}, TypeError, "did you mean limit"),
        ({"device": "cpu"}, TypeError, "got device"),
        ({"tolerance": "much"}, ValueError, "--tolerance takes"),
    ],
)
def test_what_is_wrong_is_said_before_training(
    tmp_path: Path, options: dict, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        FlowCallback(output=tmp_path, **options)


def test_another_training_is_not_written_over(tmp_path: Path) -> None:
    trained(tmp_path, FlowCallback(output=tmp_path / "flow", every=4, **ASKED))
    with pytest.raises(StoreError, match="steps of another training"):
        trained(tmp_path, FlowCallback(output=tmp_path / "flow", every=4, **ASKED))
    with pytest.raises(StoreError, match="none of its steps"):
        read_steps(tmp_path)


def test_a_training_that_is_resumed_goes_later_steps_again(tmp_path: Path) -> None:
    def flow() -> FlowCallback:
        return FlowCallback(output=tmp_path / "flow", every=2, **ASKED)

    saving = {"save_strategy": "steps", "save_steps": 2, "save_only_model": False}
    trained(tmp_path, flow(), **saving)
    before = {step: run.folder.stat().st_ino for step, run in read_steps(tmp_path / "flow").items()}
    again, arguments = flow(), {**saving, "resume": str(tmp_path / "out" / "checkpoint-2")}
    trained(tmp_path, again, **arguments)
    assert [step.step for step in again.measured] == [2, 4]
    steps = read_steps(tmp_path / "flow")
    assert list(steps) == [0, 2, 4]
    assert steps[0].folder.stat().st_ino == before[0]


def test_a_model_in_pieces_is_refused() -> None:
    from mmflow_bench.training.callback import _refuse_spread

    class Spread:
        fsdp = "full_shard"

    with pytest.raises(CheckpointError, match="fsdp spreads"):
        _refuse_spread(Spread())  # type: ignore[arg-type]


def test_training_goes_on_where_a_later_step_cannot_be_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    flow = FlowCallback(output=tmp_path / "flow", every=1, **ASKED)
    measured = flow._steps.measured

    def refuses_later(model: object, processor: object, step: int) -> object:
        if step == 2:
            raise StoreError("the disk is full")
        return measured(model, processor, step)

    monkeypatch.setattr(flow._steps, "measured", refuses_later)
    trainer = trained(tmp_path, flow)
    assert trainer.state.global_step == STEPS
    assert [step.step for step in flow.measured] == [0, 1, 3, 4]
    assert "step 2 was not measured: the disk is full" in caplog.text
