"""The information flow of one checkpoint, as mechanisms ask for it: the fixture `flow`.

`flow("question -> last", task)` is a curve over layers, `flow.lens("answer", task)` a curve over
depths; `answers.py`, `appendices.py` and `further.py` have the rest. What a checkpoint or its
samples cannot have raises `NotApplicable`; a name that nothing has, of a task, a role, a probe or a
checkpoint, is a mistake of the test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace

import numpy as np

from mmflow_bench.errors import NOT_FINITE
from mmflow_bench.inputs.samples import SIX_TASKS, VQA_TASKS, Sample, Unscored
from mmflow_bench.interventions.knockout import STUDIED_WIDTHS, Method, window_width
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.last_piece import LastPiece
from mmflow_bench.measurements.lens import PROBES, VARIANTS, Lens
from mmflow_bench.measurements.order import Order
from mmflow_bench.measurements.wants import OfSamples, Want
from mmflow_bench.mechanisms.answers import AnswerReadings, images_of
from mmflow_bench.mechanisms.appendices import AppendixReadings
from mmflow_bench.mechanisms.bands import B2
from mmflow_bench.mechanisms.curves import Curve
from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.mechanisms.evidence import Known
from mmflow_bench.mechanisms.further import FurtherReadings
from mmflow_bench.mechanisms.lens import LensCurve
from mmflow_bench.mechanisms.looks import Look, drawn_in
from mmflow_bench.mechanisms.measured import Measured
from mmflow_bench.mechanisms.paper import FURTHER_MODELS, PAPER_MODELS
from mmflow_bench.mechanisms.pieces import Piece, piece_table
from mmflow_bench.mechanisms.verdicts import Inconclusive, NotApplicable, Undecided
from mmflow_bench.names import one_of
from mmflow_bench.statistics.betting import Drawn
from mmflow_bench.statistics.intervals import Interval


class Flow(AnswerReadings, AppendixReadings, FurtherReadings):
    """Curves of one checkpoint, measured when they are asked for."""

    def __init__(
        self,
        measurements: Measured,
        *,
        alpha: float = 0.05,
        others: Mapping[str, Measured] | None = None,
        look: Look | None = None,
    ) -> None:
        self._measurements = measurements
        # Error rate of every interval, and how much of it may be spent at this look.
        self._whole_alpha = alpha
        self._alpha = alpha * (look.share if look else 1.0)
        self._look = look
        # By the paper's name for the checkpoints.
        self._others = others or {}
        # As the paper knocks out, until `by` asks for a second opinion on part of the samples.
        self._method: str = Method.MASKED
        self._is_part = False
        # Of all samples the first piece, until `piece` asks for one of answers of several.
        self._piece: Piece | None = None

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
            MechanismError: The task or the method is not known.
        """
        method = one_of(method or self._method, [*Method], "a method of knocking out")
        return self._curve(task, Sweep.of(edge, width=width, method=method))

    def by_width(self, edge: str, task: str) -> tuple[Curve, ...]:
        """The same in windows of the widths of App. B, scaled with the depth, narrowest first.

        Widths that are equal once they are scaled are one (docs/decisions/037). Raises as a call
        does.
        """
        usual = Sweep.of(edge, method=Method(self._method))
        # What other mechanisms read under another name is not read again.
        known = {1: replace(usual, width=1), self.width: usual}
        sweeps = {
            (width := window_width(self.layers, of_forty=of_forty)): known.get(
                width, replace(usual, of_forty=of_forty)
            )
            for of_forty in STUDIED_WIDTHS
        }
        return tuple(self._curve(task, sweep) for sweep in sweeps.values())

    def single_layers(self, edge: str, task: str) -> Curve:
        """The same for single layers: where something is hit, whoever asks how much.

        By the paper's method, on all samples, for second opinions too. Raises as a call does.
        """
        return self._curve(task, replace(Sweep.of(edge, width=1), is_place=True))

    def second_drop(self, edge: str, task: str) -> Curve:
        """An edge where the image reaches the question for the second time, if it does.

        That is in the band `B2`, where no window holds a layer of the first time.
        """
        return self(edge, task).at(B2).after(self.single_layers("image -> question", task))

    def piece(self, which: str) -> Flow:
        """The same flow where answers have several pieces, read at the `first` or the `last`.

        Its curves raise `NotApplicable` where no answer of the task has several.

        Raises:
            MechanismError: It is neither of the two.
        """
        flow = self._of(self._measurements)
        flow._piece = Piece(one_of(which, [*Piece], "a piece of an answer"))
        return flow

    def _curve(self, task: str, sweep: Sweep) -> Curve:
        self._require_samples(task)
        name, lacked, piece = sweep.name, f"positions for {sweep.name}", self._piece
        if piece is None:
            table = self._measurements.table(task, sweep)
        else:
            table = piece_table(self._measurements, task, sweep, piece)
            name = f"{name} ({LastPiece(sweep=sweep).note})"
            lacked += " and an answer of several pieces"
        if not table.question_ids:
            raise self._nothing(task, name, lacked)
        shown = f"{sweep.name} on {task}" + (f", {piece} piece" if piece else "")
        curve = self.curve(shown, table.relative_change, table.image_ids, sweep)
        drawn = self._drawn([task], table.question_ids)
        return replace(curve, drawn=drawn, alpha=self._whole_alpha) if drawn else curve

    def curve(
        self,
        name: str,
        values: np.ndarray,
        image_ids: tuple[str, ...],
        sweep: Sweep,
    ) -> Curve:
        """What was read of a sweep as a curve over layers, a drop negative, of this flow.

        `values` are of shape (sample, layer).
        """
        return Curve(
            name=name,
            values=values,
            image_ids=image_ids,
            width=sweep.scaled(self.layers).at(self.width).width or self.width,
            alpha=self._alpha,
            noise_floor=self.noise_floor,
            counts_unseen=not self._is_part,
        )

    def table(self, task: str, want: Want[OfSamples], *, lacked: str) -> OfSamples:
        """What a want tells of a task; the readings of this package, and one's own, are made of it.

        Args:
            task: A task of the question file.
            want: What is asked of every sample.
            lacked: What a sample without it does not have, for readers.

        Raises:
            NotApplicable: No sample of the task has it.
            MechanismError: The task is not known.
        """
        self._require_samples(task)
        table = self._measurements.table(task, want)
        if not table.question_ids:
            raise self._nothing(task, want.name, lacked)
        return table

    def questions(self, *tasks: str) -> tuple[Sample | Unscored, ...]:
        """Every question of some tasks, selected for this run or not, usable or not.

        Raises:
            NotApplicable: There is none.
        """
        found = tuple(one for task in tasks for one in self._measurements.questions(task))
        if not found:
            raise NotApplicable(f"no questions of {', '.join(tasks)}")
        return found

    def lens(self, probe: str, task: str, *, variant: str | None = None) -> LensCurve:
        """The probability that the logit lens gives to a probe at the last position.

        Args:
            probe: answer, capitalized, noncapitalized, false_capitalized or false_noncapitalized.
            task: A task of the question file.
            variant: raw or normed; with None both are asked and must agree, unless the run reads
                the paper to the letter, which has one.

        Raises:
            NotApplicable: No sample of the task has the probe.
            MechanismError: The task, the probe or the variant is not known.
        """
        one_of(probe, PROBES, "a probe of the lens")
        self._require_samples(task)
        if variant is not None:
            one_of(variant, VARIANTS, "a variant of the lens")
            return self._lens(probe, task, variant=variant)
        one, *others = (self._lens(probe, task, variant=name) for name in self._measurements.lenses)
        return replace(one, twin=others[0]) if others else one

    def lens_error(self, task: str) -> Estimate:
        """The largest difference, over samples, of the lens at the last layer and the output."""
        table = self.table(task, Lens(probe="answer", variant="normed"), lacked="a lens")
        error = np.abs(table.probability[:, -1] - table.final_probability).max()
        count, images = len(table.question_ids), len(set(table.image_ids))
        name = f"lens against output on {task}"
        return self.exact(float(error), name, count, images, unit="probability")

    @property
    def noise(self) -> Estimate:
        """The largest relative change that a knockout of no edge made, in any sample."""
        counts = [self._measurements.accuracy(task) for task in self.tasks]
        scored, name = sum(count.scored for count in counts), "largest change without a knockout"
        return self.exact(self.noise_floor, name, scored, images_of(counts))

    def require(self, *tasks: str) -> None:
        """Refuse unless the checkpoint has samples of the tasks, and masters them."""
        for task in tasks:
            self._require_samples(task)
            self._measurements.ensure(task)

    def other(self, paper_model: str) -> Flow:
        """The flow of another of the paper's checkpoints, measured in the same run.

        Raises:
            NotApplicable: The run does not measure it.
            MechanismError: The paper has no such checkpoint.
        """
        if paper_model not in self._others:
            _require_of_the_paper(paper_model)
            raise NotApplicable(f"compares with {paper_model}, which this run does not measure")
        other = self._others[paper_model]
        return self._of(other.part() if self._is_part else other)

    def by(self, method: str) -> Flow:
        """The same flow by another method of knocking out: a second opinion.

        On part of the samples of every checkpoint that is looked at.
        """
        flow = self._of(self._measurements.part())
        flow._method, flow._is_part = method, True
        # Asked once, of a verdict that has been reached: there is nothing to be spent.
        flow._alpha, flow._look = self._whole_alpha, None
        return flow

    def only_for(self, *paper_models: str) -> None:
        """Refuse unless the checkpoint is one of these of the paper."""
        _require_of_the_paper(*paper_models)
        if self.paper_model not in paper_models:
            raise NotApplicable(f"the paper says this of {', '.join(paper_models)} only")

    def not_for(self, *paper_models: str) -> None:
        """Refuse these checkpoints of the paper, which it does not say this of."""
        _require_of_the_paper(*paper_models)
        if self.paper_model in paper_models:
            raise NotApplicable(f"the paper does not say this of {self.paper_model}")

    @property
    def alpha(self) -> float:
        """Error rate of every interval."""
        return self._alpha

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
        want = Lens(probe=probe, variant=variant)
        table = self.table(task, want, lacked=f"the probe {probe}")
        drawn = self._drawn([task], table.question_ids)
        return LensCurve(
            name=f"{probe} on {task} ({variant} lens)",
            values=table.probability,
            question_ids=table.question_ids,
            image_ids=table.image_ids,
            alpha=self._whole_alpha if drawn else self._alpha,
            noise_floor=self.noise_floor,
            drawn=drawn,
        )

    def _drawn(self, tasks: Sequence[str], question_ids: Sequence[str]) -> Drawn | None:
        """In which order the rows of a table were drawn; None where all samples are looked at."""
        if self._look is None:
            return None
        orders = [order for task in tasks if (order := self._measurements.order(task))]
        if len(orders) < len(tasks):
            return None
        return drawn_in(Order.pooled(orders), question_ids)

    def _nothing(self, task: str, name: str, lacked: str) -> Undecided:
        """Why nothing is known of `name` on a task: no sample has it, or it gave no numbers."""
        why = self._refusals(task, name)
        if NOT_FINITE in self._measurements.refusals(task).get(name, {}):
            return Inconclusive(f"not measured: no sample of {task} gave numbers for {name}{why}")
        return NotApplicable(f"no sample of {task} has {lacked}{why}")

    def _refusals(self, task: str, edge: str) -> str:
        reasons = self._measurements.refusals(task).get(edge, {})
        counted = ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))
        return f" ({counted})" if counted else ""

    def _require_samples(self, task: str) -> None:
        if task not in self.tasks:
            # One that is only not selected is no mistake, nor is one of the paper's.
            known = dict.fromkeys((*self._measurements.known_tasks, *SIX_TASKS, *VQA_TASKS))
            one_of(task, known, "a task of the questions or of the paper")
            selected = ", ".join(self.tasks) or "none"
            raise NotApplicable(f"no samples of task {task} (there are: {selected})")

    def exact(
        self, value: float, name: str, n: int, images: int | None, *, unit: str = "fraction"
    ) -> Estimate:
        """A number of these `n` samples themselves, which is known without an interval."""
        known = Known(value, Interval(value, value), images)
        return Estimate(source=known, name=name, unit=unit, n=n, alpha=self._alpha)


def _require_of_the_paper(*names: str) -> None:
    """Raise `MechanismError` for a name that is of no checkpoint of the paper."""
    for name in names:
        one_of(name, (*PAPER_MODELS, *FURTHER_MODELS), "a checkpoint of the paper")
