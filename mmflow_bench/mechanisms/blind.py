"""What a checkpoint answers without the image: the control beside every curve of a task.

A question that can be answered without its image says little of how the image flows: whatever is
cut, the answer stays as probable as words alone make it, and no drop goes deeper
(docs/decisions/028).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.measurements.blind import Blinding, BlindTable
from mmflow_bench.mechanisms.comparisons import Comparison, both_or_all
from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.mechanisms.means import sample_mean
from mmflow_bench.statistics.betting import Drawn


def blind_controls(tables: Iterable[object], *, alpha: float = 0.05) -> dict[str, BlindControl]:
    """Task -> what some tables that were read tell of its questions.

    A task whose questions were not asked without their image is left out.
    """
    found: dict[str, dict[Blinding, BlindTable]] = {}
    for table in tables:
        if isinstance(table, BlindTable) and table.question_ids:
            found.setdefault(table.task, {})[table.blinding] = table
    return {
        task: BlindControl(
            removed=of[Blinding.REMOVED], exchanged=of.get(Blinding.EXCHANGED), alpha=alpha
        )
        for task, of in found.items()
        if Blinding.REMOVED in of
    }


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class BlindControl:
    """Accuracy and probability of one task without its images, beside those with them.

    Accuracies are shares of all answered samples; probabilities are means over the samples of the
    curves, of the answer that they follow. Intervals are over images.
    """

    removed: BlindTable
    """No position sees the image."""
    exchanged: BlindTable | None = None
    """Another image stands in its place; None where no sample has a donor."""
    alpha: float
    draw: Callable[[BlindTable, Sequence[int]], Drawn | None] = lambda *_: None
    """In which order rows of a table were drawn, where one looks at more and more samples."""

    @cached_property
    def accuracy(self) -> Estimate:
        """With the image."""
        return self._share("accuracy", self.removed, self.removed.is_correct)

    @cached_property
    def accuracy_removed(self) -> Estimate:
        """Without the image."""
        return self._share(_without(self.removed), self.removed, self.removed.is_blind_correct)

    @cached_property
    def accuracy_exchanged(self) -> Estimate | None:
        """With another image; the answer to it is another one, so it may be below chance."""
        other = self.exchanged
        if other is None:
            return None
        return self._share(_without(other), other, other.is_blind_correct)

    @cached_property
    def probability_removed(self) -> Estimate | None:
        """Of the followed answer without the image; None where no sample is followed."""
        return self._followed("probability", self.removed, self.removed.blind_probability)

    @cached_property
    def probability_exchanged(self) -> Estimate | None:
        """Of the followed answer with another image; None where nothing tells it."""
        other = self.exchanged
        if other is None:
            return None
        return self._followed("probability", other, other.blind_probability)

    @cached_property
    def saturation(self) -> Estimate | None:
        """The mean relative change when the image is gone: where drops of it saturate.

        A fraction; None where no sample is followed.
        """
        return self._followed("saturation", self.removed, self.removed.relative_change)

    def accuracy_falls_by(self, least: float) -> Comparison:
        """Whether the accuracy falls by at least `least`, whichever way the image is taken away.

        Paired by image.
        """
        return both_or_all([fall >= least for fall in self._falls()])

    def described(self) -> Mapping[str, float | int | None]:
        """The numbers that results.json has of a task, as they were measured."""
        names = (
            *("accuracy_removed", "accuracy_exchanged"),
            *("probability_removed", "probability_exchanged", "saturation"),
        )
        found: dict[str, Estimate | None] = {name: getattr(self, name) for name in names}
        values = {name: one.value if one is not None else None for name, one in found.items()}
        return {**values, "n": len(self.removed.question_ids)}

    def _falls(self) -> Iterator[Estimate]:
        for table in filter(None, (self.removed, self.exchanged)):
            lost = table.is_correct.astype(float) - table.is_blind_correct
            name = f"fall of the {_without(table)} on {table.task}"
            yield self._mean(name, table, lost, lowest=-1.0)

    def _share(self, what: str, table: BlindTable, is_correct: ndarray) -> Estimate:
        return self._mean(f"{what} on {table.task}", table, is_correct.astype(float))

    def _followed(
        self, what: str, table: BlindTable, values: Float[ndarray, "sample"]
    ) -> Estimate | None:
        kept = table.is_followed
        if not kept.any():
            return None
        is_probability = what == "probability"
        return self._mean(
            f"{what} on {table.task}",
            table,
            values,
            kept=kept,
            unit="probability" if is_probability else "fraction",
            lowest=0.0 if is_probability else -1.0,
        )

    def _mean(
        self,
        name: str,
        table: BlindTable,
        values: Float[ndarray, "sample"],
        *,
        kept: ndarray | None = None,
        unit: str = "fraction",
        lowest: float = 0.0,
    ) -> Estimate:
        """The mean over samples, whose images are drawn again.

        An image that was not seen may have anything from `lowest` to 1, or to the most that was
        seen.
        """
        chosen = np.flatnonzero(np.ones(len(values)) if kept is None else kept)
        return sample_mean(
            values[chosen],
            [table.image_ids[i] for i in chosen],
            name=name,
            unit=unit,
            bounds=(lowest, max(1.0, float(values[chosen].max()))),
            alpha=self.alpha,
            drawn=self.draw(table, chosen.tolist()),
        )


def _without(table: BlindTable) -> str:
    return f"accuracy with the image {table.blinding}"
