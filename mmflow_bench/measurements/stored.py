"""What the store already knows about a set of samples, and what it still lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pyarrow.compute as pc

from mmflow_bench.inputs.samples import Sample
from mmflow_bench.interventions.knockout import Method
from mmflow_bench.measurements.following import Followed
from mmflow_bench.measurements.mastery import Mastery
from mmflow_bench.measurements.plan import (
    ANSWER_SCOPE,
    LENS_SCOPE,
    REFERENCE_PROBE,
    Job,
    Sweep,
    sweep_key,
)
from mmflow_bench.measurements.records import REFERENCE_CEILING, AnswerCount, LensTable, SweepTable
from mmflow_bench.measurements.refusals import refusals_of
from mmflow_bench.measurements.selection import SampleSet
from mmflow_bench.store.shards import Store

Made = TypeVar("Made")

_COLUMNS = {
    Followed.ANSWER: ("answer_token_id", "base_probability", "knockout_probability", None),
    Followed.REFERENCE: (
        *("reference_token_id", "reference_probability", "reference_probability"),
        REFERENCE_CEILING,
    ),
}
"""Token and clean probability of an answer, probability under a knockout, and its ceiling."""


class StoredResults:
    """The rows of one store that concern one sample set, as tables."""

    def __init__(
        self,
        store: Store,
        samples: SampleSet,
        *,
        keep_incorrect: bool,
        follow: Followed = Followed.ANSWER,
    ) -> None:
        """Read a store for some samples.

        Args:
            store: Of one checkpoint.
            samples: Those that are looked at.
            keep_incorrect: Whether wrong answers count.
            follow: Whose probability is followed; with the reference's every answer counts.
        """
        self.store = store
        self.samples = samples
        self.follow = follow
        self.keep_incorrect = keep_incorrect or follow is Followed.REFERENCE
        self._made: dict[str, tuple[Any, Any]] = {}

    def answers(self) -> Mapping[str, dict[str, Any]]:
        """Answer rows by content hash of the sample."""
        return self._made_of("answers", self._answers_in)

    def refused(self) -> Mapping[tuple[str, str], str]:
        """(sample, scope) -> reason, for everything that could not be measured."""
        return self._made_of("unscored", _reasons_in)

    def noise_floor(self) -> float:
        """Largest relative change that a knockout of no edge made; 0 if nothing was measured."""
        return max((answer["noise"] for answer in self.answers().values()), default=0.0)

    def _answers_in(self, table: Any) -> dict[str, dict[str, Any]]:
        wanted = frozenset(self.samples.keys.values())
        return {row["sample"]: row for row in table.to_pylist() if row["sample"] in wanted}

    def _made_of(self, shard: str, make: Callable[[Any], Made]) -> Made:
        """What `make` makes of a shard: every test asks again, few find anything new."""
        table = self.store.read(shard)
        known = self._made.get(shard)
        if known is None or known[0] is not table:
            known = self._made[shard] = (table, make(table))
        made: Made = known[1]
        return made

    def jobs(self, task: str, sweeps: Sequence[Sweep], *, lens: bool) -> list[Job]:
        """One job for each sample that lacks something; a wrong answer needs nothing more."""
        answers, refused = self.answers(), self.refused()
        have = {sweep.shard: self.store.finished(sweep.shard) for sweep in sweeps}
        seen = self.store.finished("lens") if lens else frozenset()
        jobs = []
        for sample in self.samples.of(task):
            key = self.samples.keys[sample.question_id]
            answer = answers.get(key)
            is_wrong = answer is not None and not (answer["is_correct"] or self.keep_incorrect)
            if is_wrong or (key, ANSWER_SCOPE) in refused:
                continue
            missing = tuple(
                sweep
                for sweep in sweeps
                if (stored := self._key(task, sample, sweep)) not in have[sweep.shard]
                and (stored, sweep.shard) not in refused
            )
            wants_lens = lens and key not in seen and (key, LENS_SCOPE) not in refused
            if missing or wants_lens or answer is None:
                job = self._job(task, sample, missing, lens=wants_lens)
                jobs.append(replace(job, answer=answer))
        return jobs

    def _job(self, task: str, sample: Sample, sweeps: tuple[Sweep, ...], *, lens: bool) -> Job:
        donor = self.samples.donor(task, sample)
        return Job(
            sample=sample,
            key=self.samples.keys[sample.question_id],
            sweeps=sweeps,
            lens=lens,
            keep_incorrect=self.keep_incorrect,
            donor=donor,
            donor_key=self.samples.keys[donor.question_id] if donor else None,
        )

    def _key(self, task: str, sample: Sample, sweep: Sweep) -> str:
        donor = self.samples.donor(task, sample)
        return sweep_key(
            self.samples.keys[sample.question_id],
            method=sweep.method,
            donor_key=self.samples.keys[donor.question_id] if donor else None,
        )

    def kept(self, task: str) -> list[Sample]:
        """The samples that enter the curves: those answered correctly, unless all are kept."""
        return [
            sample
            for sample, answer in self._answered(task)
            if (answer["is_correct"] or self.keep_incorrect) and self._is_followed(answer)
        ]

    def _answered(self, task: str) -> list[tuple[Sample, dict[str, Any]]]:
        answers, keys = self.answers(), self.samples.keys
        members = [
            (sample, answers.get(keys[sample.question_id])) for sample in self.samples.of(task)
        ]
        return [(sample, answer) for sample, answer in members if answer is not None]

    def _is_followed(self, answer: dict[str, Any]) -> bool:
        # Nothing becomes of a probability that is zero to begin with.
        return self.follow is Followed.ANSWER or bool(answer["reference_probability"])

    def accuracy(self, task: str) -> AnswerCount:
        """How many samples of a task were answered correctly, and how many not scored, and why."""
        members = self.samples.of(task)
        answers, refused = self.answers(), self.refused()
        keys = [self.samples.keys[sample.question_id] for sample in members]
        unreadable = Counter(bad.reason for bad in self.samples.unreadable if bad.task == task)
        unscored = unreadable + Counter(
            refused[key, ANSWER_SCOPE] for key in keys if (key, ANSWER_SCOPE) in refused
        )
        return AnswerCount(
            task=task,
            selected=len(members) + unreadable.total(),
            correct=sum(bool(answers[key]["is_correct"]) for key in keys if key in answers),
            unscored=dict(sorted(unscored.items())),
        )

    def mastery(self, task: str, minimum: float) -> Mastery:
        """Whether a task may be mastered, as far as its answers are known."""
        known = self.accuracy(task)
        wrong = sum(not answer["is_correct"] for _, answer in self._answered(task))
        unscored = sum(known.unscored.values())
        return Mastery(known.selected, wrong=wrong, unscored=unscored, minimum=minimum)

    def refusals(self, task: str) -> dict[str, dict[str, int]]:
        """Edge or `lens` -> reason -> answered samples of a task that have no positions for it."""
        keys = {self.samples.keys[sample.question_id] for sample in self.samples.of(task)}
        counts = refusals_of(self.refused(), keys)
        lost = sum(not self._is_followed(answer) for _, answer in self._answered(task))
        return counts | ({"reference": {"reference-without-probability": lost}} if lost else {})

    def messages(self, *, limit: int) -> list[str]:
        """A few full explanations of what could not be measured, one for each reason."""
        keys = frozenset(self.samples.keys.values())
        chosen: dict[str, str] = {}
        for row in self.store.read("unscored").to_pylist():
            if row["scope"] == ANSWER_SCOPE and row["sample"] in keys:
                chosen.setdefault(row["reason"], row["message"])
        return list(chosen.values())[:limit]

    def sweep(self, task: str, sweep: Sweep, *, layers: int) -> SweepTable:
        """One edge around every layer, for the kept samples that have positions for it."""
        have = self.store.finished(sweep.shard)
        kept = [s for s in self.kept(task) if self._key(task, s, sweep) in have]
        keys = [self._key(task, sample, sweep) for sample in kept]
        rows = self.store.read(sweep.shard, keys)
        answers = self.answers()
        clean = [answers[self.samples.keys[sample.question_id]] for sample in kept]
        token, base, knockout, ceiling = _COLUMNS[self.follow]
        return SweepTable(
            edge=str(sweep.edge),
            task=task,
            window=sweep.width,
            method=sweep.method,
            question_ids=tuple(sample.question_id for sample in kept),
            image_ids=tuple(sample.image_id for sample in kept),
            answer_token_ids=tuple(answer[token] for answer in clean),
            base_probability=np.array([answer[base] for answer in clean], float),
            knockout_probability=_matrix(rows, keys, knockout, layers),
            ceiling=ceiling,
            **_counterfactual(rows, keys, layers) if sweep.method is Method.COUNTERFACTUAL else {},
        )

    def lens(self, task: str, *, probe: str, variant: str, layers: int) -> LensTable:
        """Lens probabilities of one probe, for the kept samples that have it."""
        is_replaced = probe == "answer" and self.follow is Followed.REFERENCE
        answered = self.kept(task)
        table = self.store.read("lens", [self.samples.keys[s.question_id] for s in answered])
        table = table.filter(pc.equal(table["probe"], REFERENCE_PROBE if is_replaced else probe))
        inner, output = (
            table.filter(pc.equal(table["variant"], name)) for name in (variant, "output")
        )
        have = frozenset(inner["sample"].to_pylist())
        kept = [s for s in answered if self.samples.keys[s.question_id] in have]
        keys = [self.samples.keys[sample.question_id] for sample in kept]
        return LensTable(
            task=task,
            probe=probe,
            variant=variant,
            question_ids=tuple(sample.question_id for sample in kept),
            image_ids=tuple(sample.image_id for sample in kept),
            probability=_matrix(inner, keys, "probability", layers + 1),
            final_probability=_matrix(output, keys, "probability", 1)[:, 0],
        )


def _reasons_in(table: Any) -> dict[tuple[str, str], str]:
    return {(row["sample"], row["scope"]): row["reason"] for row in table.to_pylist()}


def _counterfactual(table: Any, keys: Sequence[str], layers: int) -> dict[str, np.ndarray]:
    return {
        "counterfactual_probability": _matrix(table, keys, "counterfactual_probability", layers),
        "is_flipped": _matrix(table, keys, "is_flipped", layers).astype(bool),
    }


def _matrix(table: Any, keys: Sequence[str], column: str, width: int) -> np.ndarray:
    """Values of `column` as (sample, layer), samples in the order of `keys`."""
    values: dict[str, list[float]] = {}
    for key, value in zip(table["sample"].to_pylist(), table[column].to_pylist(), strict=True):
        values.setdefault(key, []).append(value)
    return np.array([values[key] for key in keys], dtype=float).reshape(len(keys), width)
