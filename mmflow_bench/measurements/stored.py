"""What the store already knows about a set of samples, and what it still lacks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import pyarrow as pa

from mmflow_bench.inputs.samples import Sample
from mmflow_bench.measurements.jobs import Job, Mastery
from mmflow_bench.measurements.records import AnswerCount, Followed, Refusal, refusals_of
from mmflow_bench.measurements.selection import SampleSet
from mmflow_bench.measurements.wants import (
    ANSWER_SCOPE,
    ANSWERS,
    PATCHES,
    UNSCORED,
    AnswerRow,
    Kept,
    Want,
)
from mmflow_bench.store.columns import texts
from mmflow_bench.store.shards import Shard
from mmflow_bench.store.store import Store

Made = TypeVar("Made")
Table = TypeVar("Table")
Wants = tuple[Want[object], ...]
Refusals = Mapping[str, Mapping[str, int]]
"""What was wanted -> reason -> samples."""


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
        self.store = store
        self.samples = samples
        self.follow = follow
        # A reference answer can be followed whatever the model answers.
        self.keep_incorrect = keep_incorrect or follow is Followed.REFERENCE
        self.redone: set[str] = set()
        """Samples whose answers were measured anew for what stands beside them."""
        self._made: dict[Shard, tuple[pa.Table, Any]] = {}
        # Every curve has it.
        self._noise: tuple[Mapping[str, AnswerRow], float] = ({}, 0.0)
        # (task, wants) with what was looked at, and what was counted.
        self._refusals: dict[tuple[str, Wants], tuple[tuple[object, ...], Refusals]] = {}
        # (task, want) that no sample lacked, with what was looked at.
        self._whole: dict[tuple[str, Want[object] | None], tuple[object, ...]] = {}

    def answers(self) -> Mapping[str, AnswerRow]:
        """Answer rows by content hash of the sample."""
        return self._made_of(ANSWERS, self._answers_in)

    def refused(self) -> Mapping[tuple[str, str], str]:
        """(key, scope) -> reason, for everything that could not be measured."""
        return self._made_of(UNSCORED, _reasons_in)

    def noise_floor(self) -> float:
        """Largest relative change that a knockout of no edge made; 0 if nothing was measured."""
        answers = self.answers()
        if self._noise[0] is not answers:
            found = max((answer["noise"] for answer in answers.values()), default=0.0)
            self._noise = (answers, found)
        return self._noise[1]

    def _answers_in(self, table: pa.Table) -> dict[str, AnswerRow]:
        wanted = frozenset(self.samples.keys.values())
        return {row["sample"]: row for row in table.to_pylist() if row["sample"] in wanted}

    def _made_of(self, shard: Shard, make: Callable[[pa.Table], Made]) -> Made:
        """What `make` makes of a shard: every test asks again, few find anything new."""
        table = self.store.read(shard)
        known = self._made.get(shard)
        if known is None or known[0] is not table:
            known = self._made[shard] = (table, make(table))
        made: Made = known[1]
        return made

    def jobs(self, task: str, wants: Collection[Want[object]]) -> list[Job]:
        """One job for each sample that lacks something; a wrong answer needs little more."""
        have = {want: self._state(want) for want in wants or (None,)}
        # Every test asks again, and of most tasks nothing is missing.
        if all(_is_same(self._whole.get((task, want)), state) for want, state in have.items()):
            return []
        jobs = self._jobs(task, wants)
        if not jobs:
            self._whole.update(((task, want), state) for want, state in have.items())
        return jobs

    def _state(self, want: Want[object] | None) -> tuple[object, ...]:
        """What it depends on whether a sample lacks something: objects that are made anew."""
        shards = [PATCHES] if want is None else [PATCHES, want.shard]
        held = [self.store.finished(shard) for shard in shards]
        return (self.answers(), self.refused(), self.store.has_lost(PATCHES), *held)

    def _jobs(self, task: str, wants: Collection[Want[object]]) -> list[Job]:
        answers, refused = self.answers(), self.refused()
        again = self._without_patches(task)
        # Of the wants that share a shard one is enough: they are measured together. The last one
        # counts, which asks of the most samples.
        by_shard = {one.shard: one for one in sorted(wants, key=lambda w: w.asks_wrong_answers)}
        have = {shard: self.store.finished(shard) for shard in by_shard}
        jobs = []
        asked = Counter(sample.image_id for sample in self.samples.of(task))
        for sample in self.samples.of(task):
            donor = self.samples.donor(task, sample)
            key = self._key(sample)
            job = Job(
                sample=sample,
                key=key,
                keep_incorrect=self.keep_incorrect,
                answer=None if key in again else answers.get(key),
                shares_image=sample.image is not None and asked[sample.image_id] > 1,
                donor=donor,
                donor_key=self._key(donor) if donor else None,
            )
            missing = tuple(
                want
                for shard, want in by_shard.items()
                if (own := job.key_of(want)) not in have[shard] and (own, shard.name) not in refused
                if job.answer is None or job.asks(want, job.answer)
            )
            # What could not be answered is not asked again.
            is_lost = (job.key, ANSWER_SCOPE) in refused
            if not is_lost and (job.answer is None or missing):
                jobs.append(replace(job, wants=missing))
        # Questions about one image one after the other, images in the order in which they come.
        first = {image: place for place, image in enumerate(asked)}
        return sorted(jobs, key=lambda job: first[job.sample.image_id])

    def _without_patches(self, task: str) -> frozenset[str]:
        """Samples whose patches may have been in a file that was damaged.

        They are measured with the answer, and no row of them may also mean that there are none.
        """
        found = self.store.finished(PATCHES)
        if not self.store.has_lost(PATCHES):
            return frozenset()
        asked = {self._key(sample) for sample in self.samples.of(task) if sample.boxes}
        return frozenset(asked - found - self.redone)

    def _key(self, sample: Sample) -> str:
        return self.samples.keys[sample.question_id]

    def _key_of(self, task: str, sample: Sample, want: Want[object]) -> str:
        donor = self.samples.donor(task, sample)
        return want.key(self._key(sample), self._key(donor) if donor else None)

    def kept(self, task: str) -> list[Sample]:
        """The samples that enter the curves: those answered correctly, unless all are kept."""
        return [sample for sample, _ in self._kept(task)]

    def _kept(self, task: str, *, with_wrong: bool = False) -> list[tuple[Sample, AnswerRow]]:
        return [
            (sample, answer)
            for sample, answer in self.answered(task)
            if (answer["is_correct"] or self.keep_incorrect or with_wrong)
            and self._is_followed(answer)
        ]

    def answered(self, task: str | None = None) -> list[tuple[Sample, AnswerRow]]:
        answers, tasks = self.answers(), self.samples.tasks if task is None else [task]
        members = [(one, answers.get(self._key(one))) for t in tasks for one in self.samples.of(t)]
        return [(sample, answer) for sample, answer in members if answer is not None]

    def _is_followed(self, answer: AnswerRow) -> bool:
        # Nothing becomes of a probability that is zero to begin with.
        return self.follow is Followed.ANSWER or bool(answer["reference_probability"])

    def accuracy(self, task: str) -> AnswerCount:
        """How many samples of a task were answered correctly, and how many not scored, and why."""
        members = self.samples.of(task)
        refused = self.refused()
        lost = [bad for bad in self.samples.unreadable if bad.task == task]
        unreadable = Counter(bad.reason for bad in lost)
        scopes = [(self._key(sample), ANSWER_SCOPE) for sample in members]
        unscored = unreadable + Counter(refused[scope] for scope in scopes if scope in refused)
        answered = self.answered(task)
        outcomes = {
            sample.question_id: (sample.image_id, answer["is_correct"])
            for sample, answer in answered
        }
        return AnswerCount(
            task=task,
            selected=len(members) + unreadable.total(),
            correct=sum(answer["is_correct"] for _, answer in answered),
            unscored=dict(sorted(unscored.items())),
            images=len({one.image_id for one in members} | {bad.image_id for bad in lost}),
            image_ids=frozenset(sample.image_id for sample, _ in answered),
            outcomes=outcomes,
        )

    def mastery(self, task: str, minimum: float) -> Mastery:
        """Whether a task may be mastered, as far as its answers are known."""
        known, again = self.accuracy(task), self._without_patches(task)
        answers = [answer for _, answer in self.answered(task) if answer["sample"] not in again]
        return Mastery(
            selected=known.selected,
            wrong=sum(not answer["is_correct"] for answer in answers),
            unscored=known.selected - known.scored,
            minimum=minimum,
        )

    def refusals(self, task: str, wants: Collection[Want[object]]) -> Refusals:
        """Edge or `lens` -> reason -> samples of a task without positions for what was asked."""
        asked, state = (task, tuple(wants)), (self.answers(), self.refused())
        # Every mechanism that has no sample says why.
        known = self._refusals.get(asked)
        if known is None or not _is_same(known[0], state):
            known = self._refusals[asked] = (state, self._counted(*asked))
        return known[1]

    def _counted(self, task: str, wants: Wants) -> Refusals:
        refused = self.refused()
        scopes = {scope for _, scope in refused}
        asked = [
            (want, want.name, want.note, scope)
            for want in wants
            if (scope := want.shard.name) in scopes
        ]
        counts = refusals_of(
            Refusal(name, note, reason, self._key(sample))
            for want, name, note, scope in asked
            for sample in self.samples.of(task)
            if (reason := refused.get((self._key_of(task, sample, want), scope))) is not None
        )
        lost = sum(not self._is_followed(answer) for _, answer in self.answered(task))
        return counts | ({"reference": {"reference-without-probability": lost}} if lost else {})

    def messages(self, *, limit: int) -> list[str]:
        """At most `limit` explanations of what could not be measured, one for each reason."""
        keys = frozenset(self.samples.keys.values())
        chosen: dict[str, str] = {}
        for row in self.store.read(UNSCORED).to_pylist():
            if row["scope"] == ANSWER_SCOPE and row["sample"] in keys:
                chosen.setdefault(row["reason"], row["message"])
        return list(chosen.values())[:limit]

    def table(self, task: str, want: Want[Table], *, layers: int) -> Table:
        """What a want tells of a task, for the samples that it is asked of and that have rows."""
        members = self._kept(task, with_wrong=want.asks_wrong_answers)
        kept = Kept(
            task=task,
            samples=tuple(sample for sample, _ in members),
            answers=tuple(answer for _, answer in members),
            keys=tuple(self._key_of(task, sample, want) for sample, _ in members),
            layers=layers,
            follow=self.follow,
        ).having(self.store.finished(want.shard))
        return want.table(kept, self.store.read(want.shard, kept.keys))


def _reasons_in(table: pa.Table) -> dict[tuple[str, str], str]:
    samples, scopes, reasons = (texts(table[name]) for name in ("sample", "scope", "reason"))
    return dict(zip(zip(samples, scopes, strict=True), reasons, strict=True))


def _is_same(known: tuple[object, ...] | None, state: tuple[object, ...]) -> bool:
    return known is not None and all(a is b for a, b in zip(known, state, strict=True))
