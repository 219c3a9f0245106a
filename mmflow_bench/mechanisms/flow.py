"""The information flow of one checkpoint, as mechanisms ask for it: the fixture `flow`.

`flow("question -> last", task)` is a curve over layers, `flow.lens("answer", task)` a curve over
depths, `flow.blind(task)` what is answered without the image. What a checkpoint or its samples
cannot have raises `NotApplicable`.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace

import numpy as np

from mmflow_bench.interventions.knockout import Method
from mmflow_bench.measurements.blind import Blind, Blinding
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.lens import Lens
from mmflow_bench.mechanisms.blind import BlindControl
from mmflow_bench.mechanisms.curves import Curve
from mmflow_bench.mechanisms.estimates import Estimate, Known
from mmflow_bench.mechanisms.lens import LensCurve
from mmflow_bench.mechanisms.measured import Measured
from mmflow_bench.mechanisms.verdicts import NotApplicable
from mmflow_bench.statistics.combining import wilson
from mmflow_bench.statistics.intervals import Interval

LENSES = ("normed", "raw")


class Flow:
    """Curves of one checkpoint, measured when they are asked for."""

    def __init__(
        self,
        measurements: Measured,
        *,
        alpha: float = 0.05,
        others: Mapping[str, Measured] | None = None,
    ) -> None:
        self._measurements = measurements
        # Error rate of every interval.
        self._alpha = alpha
        # By the paper's name for the checkpoints.
        self._others = others or {}
        # As the paper knocks out, until `by` asks for a second opinion on part of the samples.
        self._method: str = Method.MASKED
        self._is_part = False

    def __call__(
        self, edge: str, task: str, *, width: int | None = None, method: str | None = None
    ) -> Curve:
        """The relative change of the answer's probability when an edge is knocked out.

        Args:
            edge: Written `source -> target`.
            task: A task of the question file.
            width: Width of the window in layers; scaled with the depth when None.
            method: masked, unnormalised or counterfactual; that of this flow when None.

        Raises:
            NotApplicable: No sample of the task has positions for both roles.
            KnockoutError: The edge names an unknown role.
        """
        sweep = Sweep.of(edge, width=width, method=method or self._method)
        self._require_samples(task)
        table = self._measurements.table(task, sweep)
        if not table.question_ids:
            why = self._refusals(task, sweep.name)
            raise NotApplicable(f"no sample of {task} has positions for {sweep.name}{why}")
        return Curve(
            name=f"{sweep.name} on {task}",
            values=table.relative_change,
            image_ids=table.image_ids,
            width=width or self.width,
            alpha=self._alpha,
            noise_floor=self.noise_floor,
        )

    def lens(self, probe: str, task: str, *, variant: str | None = None) -> LensCurve:
        """The probability that the logit lens gives to a probe at the last position.

        Args:
            probe: answer, capitalized, noncapitalized, false_capitalized or false_noncapitalized.
            task: A task of the question file.
            variant: raw or normed; with None both are asked and must agree.

        Raises:
            NotApplicable: No sample of the task has the probe.
        """
        self._require_samples(task)
        if variant is not None:
            return self._lens(probe, task, variant=variant)
        one, other = (self._lens(probe, task, variant=name) for name in LENSES)
        return replace(one, twin=other)

    def lens_error(self, task: str) -> Estimate:
        """The largest difference, over samples, of the lens at the last layer and the output."""
        self._require_samples(task)
        table = self._measurements.table(task, Lens(probe="answer", variant="normed"))
        if not table.question_ids:
            raise NotApplicable(f"no sample of {task} has a lens")
        error = np.abs(table.probability[:, -1] - table.final_probability).max()
        count = len(table.question_ids)
        return self._exact(float(error), f"lens against output on {task}", count, "probability")

    @property
    def noise(self) -> Estimate:
        """The largest relative change that a knockout of no edge made, in any sample."""
        count = sum(self._measurements.accuracy(task).scored for task in self.tasks)
        return self._exact(self.noise_floor, "largest change without a knockout", count, "fraction")

    def accuracy(self, *tasks: str) -> Estimate:
        """The share of scored samples answered correctly, pooled over tasks."""
        for task in tasks:
            self._require_samples(task)
        counts = [self._measurements.accuracy(task) for task in tasks]
        correct, scored = sum(c.correct for c in counts), sum(c.scored for c in counts)
        if not scored:
            raise NotApplicable(f"no sample of {', '.join(tasks)} could be scored")
        return self._proportion(correct, scored, f"accuracy on {', '.join(tasks)}")

    def blind(self, task: str) -> BlindControl:
        """What is answered without the image, and with another one in its place.

        Raises:
            NotApplicable: No sample of the task has an image.
        """
        self._require_samples(task)
        wants = [Blind(blinding=blinding) for blinding in Blinding]
        removed, exchanged = (self._measurements.table(task, want) for want in wants)
        if not removed.question_ids:
            why = self._refusals(task, wants[0].name)
            raise NotApplicable(f"no sample of {task} has an image to be taken away{why}")
        other = exchanged if exchanged.question_ids else None
        return BlindControl(removed=removed, exchanged=other, alpha=self._alpha)

    def first_token_share(self, task: str) -> Estimate:
        """The share of answers that begin with the commonest first token of the task."""
        self._require_samples(task)
        table = self._measurements.table(task, Sweep.of("question->last"))
        counts = np.unique(table.answer_token_ids, return_counts=True)[1]
        if not len(counts):
            raise NotApplicable(f"the first answer tokens of {task} are not known")
        return self._proportion(int(counts.max()), int(counts.sum()), f"first token on {task}")

    def require(self, *tasks: str) -> None:
        """Refuse unless the checkpoint has samples of the tasks, and masters them."""
        for task in tasks:
            self._require_samples(task)
            self._measurements.ensure(task)

    def other(self, paper_model: str) -> Flow:
        """The flow of another of the paper's checkpoints, measured in the same run."""
        if paper_model not in self._others:
            raise NotApplicable(f"compares with {paper_model}, which this run does not measure")
        other = self._others[paper_model]
        return self._of(other.part() if self._is_part else other)

    def by(self, method: str) -> Flow:
        """The same flow by another method of knocking out: a second opinion.

        On part of the samples of every checkpoint that is looked at.
        """
        flow = self._of(self._measurements.part())
        flow._method, flow._is_part = method, True
        return flow

    def only_for(self, *paper_models: str) -> None:
        """Refuse unless the checkpoint is one of these of the paper."""
        if self.paper_model not in paper_models:
            raise NotApplicable(f"the paper says this of {', '.join(paper_models)} only")

    def not_for(self, *paper_models: str) -> None:
        """Refuse these checkpoints of the paper, which it does not say this of."""
        if self.paper_model in paper_models:
            raise NotApplicable(f"the paper does not say this of {self.paper_model}")

    @property
    def paper_model(self) -> str | None:
        return self._measurements.paper_model

    @property
    def tasks(self) -> tuple[str, ...]:
        return self._measurements.tasks

    @property
    def layers(self) -> int:
        """Depth of the decoder."""
        return self._measurements.decoder_layers

    @property
    def width(self) -> int:
        """Width of the knocked-out windows, in layers."""
        return self._measurements.width

    @property
    def noise_floor(self) -> float:
        """Largest relative change that the instrument makes by itself."""
        return float(self._measurements.noise_floor)

    def _of(self, measurements: Measured) -> Flow:
        flow = copy(self)
        flow._measurements = measurements
        return flow

    def _lens(self, probe: str, task: str, *, variant: str) -> LensCurve:
        table = self._measurements.table(task, Lens(probe=probe, variant=variant))
        if not table.question_ids:
            raise NotApplicable(f"no sample of {task} has the probe {probe}")
        return LensCurve(
            name=f"{probe} on {task} ({variant} lens)",
            values=table.probability,
            question_ids=table.question_ids,
            image_ids=table.image_ids,
            alpha=self._alpha,
            noise_floor=self.noise_floor,
        )

    def _refusals(self, task: str, edge: str) -> str:
        reasons = self._measurements.refusals(task).get(edge, {})
        counted = ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))
        return f" ({counted})" if counted else ""

    def _require_samples(self, task: str) -> None:
        if task not in self.tasks:
            known = ", ".join(self.tasks) or "none"
            raise NotApplicable(f"no samples of task {task} (there are: {known})")

    def _proportion(self, successes: int, trials: int, name: str) -> Estimate:
        known = Known(successes / trials, wilson(successes, trials, alpha=self._alpha))
        return Estimate(source=known, name=name, unit="fraction", n=trials, alpha=self._alpha)

    def _exact(self, value: float, name: str, n: int, unit: str) -> Estimate:
        known = Known(value, Interval(value, value))
        return Estimate(source=known, name=name, unit=unit, n=n, alpha=self._alpha)
