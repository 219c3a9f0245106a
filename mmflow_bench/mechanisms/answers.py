"""What is answered, with the image or without: what mechanisms ask of a flow beside its curves."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mmflow_bench.measurements.blind import Blind, Blinding
from mmflow_bench.measurements.first_token import FirstToken
from mmflow_bench.measurements.records import AnswerCount
from mmflow_bench.mechanisms.blind import BlindControl
from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.mechanisms.evidence import Known
from mmflow_bench.mechanisms.means import sample_mean
from mmflow_bench.mechanisms.readings import Readings
from mmflow_bench.mechanisms.verdicts import NotApplicable
from mmflow_bench.statistics.combining import clopper_pearson


class AnswerReadings(Readings):
    """How many answers are right, what is answered without the image, and how answers begin."""

    def accuracy(self, *tasks: str) -> Estimate:
        """The share of scored samples answered correctly, pooled over tasks."""
        for task in tasks:
            self._require_samples(task)
        counts = [self._measurements.accuracy(task) for task in tasks]
        correct, scored = sum(c.correct for c in counts), sum(c.scored for c in counts)
        if not scored:
            raise NotApplicable(f"no sample of {', '.join(tasks)} could be scored")
        name = f"accuracy on {', '.join(tasks)}"
        outcomes = {q: one for count in counts for q, one in count.outcomes.items()}
        if drawn := self._drawn(tasks, list(outcomes)):
            return sample_mean(
                np.array([is_correct for _, is_correct in outcomes.values()], float),
                [image for image, _ in outcomes.values()],
                name=name,
                unit="fraction",
                bounds=(0.0, 1.0),
                alpha=self._whole_alpha,
                drawn=drawn,
            )
        return self._proportion(correct, scored, images_of(counts), name)

    def blind(self, task: str) -> BlindControl:
        """What is answered without the image, and with another one in its place.

        Raises:
            NotApplicable: No sample of the task has an image.
        """
        removed = self.table(
            task, Blind(blinding=Blinding.REMOVED), lacked="an image to be taken away"
        )
        exchanged = self._measurements.table(task, Blind(blinding=Blinding.EXCHANGED))
        other = exchanged if exchanged.question_ids else None
        return BlindControl(
            removed=removed,
            exchanged=other,
            alpha=self._whole_alpha,
            draw=lambda table, kept: self._drawn([task], [table.question_ids[i] for i in kept]),
        )

    def line_break_share(self, task: str) -> Estimate:
        """The share of answers that begin with a line break.

        Raises:
            NotApplicable: The prompts end with one that belongs to the answer.
        """
        self._require_samples(task)
        want = FirstToken()
        table = self._measurements.table(task, want)
        if not table.texts:
            why = self._refusals(task, want.name)
            raise NotApplicable(f"no first token of {task} to look at{why}")
        count = sum("\n" in text and not text.strip() for text in table.texts)
        name, images = f"answers on {task} that begin with a line break", len(set(table.image_ids))
        return self._proportion(count, len(table.texts), images, name)

    def _proportion(self, successes: int, trials: int, images: int | None, name: str) -> Estimate:
        interval = clopper_pearson(successes, trials, alpha=self._alpha)
        known = Known(successes / trials, interval, images, (successes, trials))
        return Estimate(source=known, name=name, unit="fraction", n=trials, alpha=self._alpha)


def images_of(counts: Iterable[AnswerCount]) -> int | None:
    """How many images some answers are about; None for none."""
    return len({image for count in counts for image in count.image_ids}) or None
