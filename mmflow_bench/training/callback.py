"""`FlowCallback`: what a model does inside, measured every so many steps of its training.

It must not change what it looks at: a training with it has the losses of one without it, to the
last bit. So the model is measured in evaluation mode, under generators of its own, and left as it
was (docs/decisions/059).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, Unpack

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from mmflow_bench.baselines.tolerances import parse_tolerance
from mmflow_bench.checkpoints.in_memory import undisturbed, unwrapped
from mmflow_bench.errors import CheckpointError, MechanismError, MMFlowError
from mmflow_bench.interactive.comparing import tolerance_text
from mmflow_bench.interactive.settings import OF_FILES, Options, settings_from
from mmflow_bench.interventions.knockout import Edge
from mmflow_bench.mechanisms.declared import chosen_tests
from mmflow_bench.training.steps import PREFIX, Asked, Step, Steps

logger = logging.getLogger(__name__)
EDGES = ("image -> question", "question -> last")


class FlowCallback(TrainerCallback):
    """Measures edges and mechanisms before the first step, every so many, and after the last."""

    def __init__(
        self,
        edges: Sequence[str] = EDGES,
        *,
        output: Path | str,
        every: int = 100,
        mechanisms: Sequence[str] = (),
        on_drift: Literal["mark", "stop"] | None = None,
        tolerance: float | str | Mapping[str, float] | None = None,
        processor: object = None,
        **options: Unpack[Options],
    ) -> None:
        """Say what is measured, when, and where it is written.

        Args:
            edges: Whose curves are measured, written `source -> target`.
            output: A folder for run folders, one for each measured step.
            every: Steps of the optimizer between two measurements.
            mechanisms: Ids and patterns of mechanisms that are decided too.
            on_drift: What happens once a mechanism has moved by more than its tolerance since the
                first measurement: it is logged (`mark`), or training stops as well (`stop`).
            tolerance: As in `mm.compare`.
            processor: Of the model; what the trainer was given as `processing_class` when None.
            **options: Of `mm.open`, such as `tasks`, `limit` and `questions`. Nothing is kept in a
                store unless `cache` names one: weights change with every step.

        Raises:
            MMFlowError: An edge is none, or no mechanism has a name.
            TypeError: An option is not known, or is about loading.
            ValueError: The value of an option cannot be understood.
        """
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            raise ValueError(f"every takes a whole number of steps from 1 on, got {every!r}")
        if on_drift not in (None, "mark", "stop"):
            raise ValueError(f"on_drift takes mark, stop or None, got {on_drift!r}")
        if on_drift is not None and not mechanisms:
            raise MechanismError(
                f"mechanisms that may drift, got none with on_drift={on_drift!r}; name them, as in "
                "mechanisms=['imgq-*']"
            )
        if isinstance(edges, str) or not (edges or mechanisms):
            raise MechanismError(f"a list of edges such as {[*EDGES]}, got {edges!r}")
        if loading := [name for name in OF_FILES if name in options]:
            raise TypeError(f"options of measuring a model in memory, got {', '.join(loading)}")
        options.setdefault("cache", "off")
        settings = settings_from(options)
        if mechanisms:
            chosen_tests(patterns=mechanisms, suite=settings.measurement.suite)
        asked = Asked(
            edges=tuple(str(Edge.parse(edge)) for edge in edges),
            mechanisms=tuple(mechanisms),
            tolerance=parse_tolerance(tolerance_text(tolerance)),
            settings=settings,
            options=options,
        )
        self.measured: list[Step] = []
        """Every measurement of this training so far."""
        self._steps = Steps(Path(os.path.expanduser(output)), asked)
        self._every, self._on_drift, self._processor = every, on_drift, processor
        self._trainer: Trainer | None = None
        self._waiting: dict[str, float] = {}

    def add_to(self, trainer: Trainer) -> FlowCallback:
        """Add it to a trainer, and log through `trainer.log` at the step that is measured.

        Where it is only one of `callbacks=`, its numbers join what the trainer logs next; what
        reports to other places (Weights & Biases, TensorBoard) has been called by then.
        """
        self._trainer = trainer
        trainer.add_callback(self)
        return self

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any
    ) -> None:
        """Measure what training begins with.

        Raises:
            CheckpointError: The model is spread over processes, or there is no processor.
            MMFlowError: It cannot be measured.
        """
        _refuse_spread(args)
        self.measured.clear()
        if state.is_world_process_zero:
            self._steps.begin(state.global_step)
            self._measure(state, control, given)

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002 (transformers gives it)
        state: TrainerState,
        control: TrainerControl,
        **given: Any,
    ) -> TrainerControl:
        """Measure after every so many steps."""
        if state.global_step % self._every == 0:
            self._try(state, control, given)
        return control

    def on_train_end(
        self,
        args: TrainingArguments,  # noqa: ARG002 (transformers gives it)
        state: TrainerState,
        control: TrainerControl,
        **given: Any,
    ) -> None:
        """Measure what training has ended with."""
        if not self.measured or self.measured[-1].step != state.global_step:
            self._try(state, control, given)

    def on_log(
        self,
        args: TrainingArguments,  # noqa: ARG002 (transformers gives it)
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        logs: dict[str, Any] | None = None,
        **given: Any,  # noqa: ARG002
    ) -> None:
        """Add what waits to be logged to what a trainer logs."""
        if logs is not None and self._waiting:
            logs.update(self._waiting)
            if state.log_history:
                state.log_history[-1].update(self._waiting)
            self._waiting = {}

    def _try(self, state: TrainerState, control: TrainerControl, given: Mapping[str, Any]) -> None:
        """Measure, and go on training where that cannot be done: hours of it must not be lost."""
        if not state.is_world_process_zero:
            return
        try:
            self._measure(state, control, given)
        except MMFlowError as error:
            logger.warning("step %s was not measured: %s", state.global_step, error)

    def _measure(
        self, state: TrainerState, control: TrainerControl, given: Mapping[str, Any]
    ) -> None:
        started = perf_counter()
        processor = self._processor or given.get("processing_class")
        if processor is None:
            raise CheckpointError(
                "the processor of the model, got none; give the trainer a `processing_class`, or "
                "this callback its `processor`"
            )
        model = unwrapped(given["model"])
        with undisturbed(model), _own_forward(model):
            step = self._steps.measured(model, processor, state.global_step)
        self.measured.append(step)
        numbers = {**step.numbers, f"{PREFIX}/seconds": round(perf_counter() - started, 2)}
        if self._on_drift is not None:
            numbers[f"{PREFIX}/drift"] = float(bool(step.drift))
        if step.drift and self._on_drift is not None:
            logger.warning("step %s has drifted: %s", step.step, "; ".join(step.drift))
            control.should_training_stop |= self._on_drift == "stop"
        if self._trainer is None:
            self._waiting.update(numbers)
            return
        # A trainer that has logged believes that this step need not be logged again.
        is_due = control.should_log
        self._trainer.log(numbers)
        control.should_log = is_due


def _refuse_spread(args: TrainingArguments) -> None:
    """Refuse a model of which no process has all weights.

    Raises:
        CheckpointError: FSDP or DeepSpeed spreads it.
    """
    spread = [name for name in ("fsdp", "deepspeed") if getattr(args, name, None)]
    if spread:
        raise CheckpointError(
            f"a model that a process has as a whole, got one that {spread[0]} spreads; measure the "
            "checkpoints that the trainer saves instead (`mmflow measure`)"
        )


@contextmanager
def _own_forward(model: Any) -> Iterator[None]:
    """The model without the autocast that accelerate wraps its forward in.

    It would reach the passes through the whole model alone, and not those of single layers.
    """
    wrapped = vars(model).pop("forward", None) if hasattr(model, "_original_forward") else None
    try:
        yield
    finally:
        if wrapped is not None:
            model.forward = wrapped
