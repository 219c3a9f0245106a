"""What is read of how a checkpoint is built and of what its samples take in it.

Suites import these, and listing mechanisms reads the suites: what needs numpy is imported when it
is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmflow_bench.mechanisms.verdicts import NotApplicable

if TYPE_CHECKING:
    from mmflow_bench.measurements.anatomy import AnatomyTable
    from mmflow_bench.mechanisms.estimates import Estimate
    from mmflow_bench.mechanisms.flow import Flow

PLACE = "a place in the checkpoint"
"""What a sample lacks that could not be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """How a checkpoint is built, as numbers that are known without an interval."""

    flow: Flow
    tables: tuple[AnatomyTable, ...]
    """By task; how the checkpoint is built they say alike."""

    @property
    def layers(self) -> Estimate:
        return self._exact(self.tables[0].layers, "layers of the decoder")

    @property
    def queries_per_key(self) -> Estimate:
        """1 where every head has keys of its own, more where they are shared (grouped-query)."""
        one = self.tables[0]
        return self._exact(one.heads / max(one.key_value_heads, 1), "queries for each key")

    @property
    def tower_pixels(self) -> Estimate:
        return self._exact(self.tables[0].tower_pixels, "pixels of the tower's side")

    @property
    def patch_pixels(self) -> Estimate:
        return self._exact(self.tables[0].patch_pixels, "pixels of a patch's side")

    @property
    def fewest_image_positions(self) -> Estimate:
        least = min(one.image_positions.min() for one in self.tables)
        return self._exact(least, "fewest image positions of a sample")

    @property
    def most_image_positions(self) -> Estimate:
        most = max(one.image_positions.max() for one in self.tables)
        return self._exact(most, "most image positions of a sample")

    def _exact(self, value: float, name: str) -> Estimate:
        images = {image for one in self.tables for image in one.image_ids}
        count = sum(len(one.question_ids) for one in self.tables)
        return self.flow.exact(float(value), name, count, len(images), unit="count")


def built(flow: Flow) -> Built:
    """How the checkpoint is built.

    Raises:
        NotApplicable: No sample could be asked, or a program has written the checkpoint in the
            place of the paper's.
    """
    from mmflow_bench.measurements.anatomy import Anatomy

    tables = tuple(flow.table(task, Anatomy(), lacked=PLACE) for task in flow.tasks)
    if not tables or tables[0].is_written:
        raise NotApplicable("a program has written this checkpoint in the place of the paper's")
    return Built(flow=flow, tables=tables)


def wrongly_answered(flow: Flow, task: str) -> Estimate:
    """The share of wrong answers among the samples that knockouts are followed on."""
    from mmflow_bench.measurements.anatomy import Anatomy
    from mmflow_bench.measurements.knockout_sweep import Sweep

    want = Sweep.of("question -> last")
    followed = flow.table(task, want, lacked=f"positions for {want.name}")
    answers = flow.table(task, Anatomy(), lacked=PLACE)
    wrong = {
        one for one, ok in zip(answers.question_ids, answers.is_correct, strict=True) if not ok
    }
    count = len(followed.question_ids)
    share = sum(one in wrong for one in followed.question_ids) / count
    name = f"wrong answers among those followed on {task}"
    return flow.exact(share, name, count, len(set(followed.image_ids)))
