"""One edge knocked out on the samples that are answered wrongly: what is asked and read of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from mmflow_bench.interventions.knockout import Method
from mmflow_bench.measurements.knockout_sweep import OfSweep, SweepTable
from mmflow_bench.measurements.wants import Kept
from mmflow_bench.store.shards import Shard


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongAnswers(OfSweep):
    """A sweep over wrongly answered samples, whose own first token is followed.

    Its rows are kept with those of the sweep itself: they are the same measurement of other
    samples, so that only the wrong ones cost.
    """

    measured_by: ClassVar[str] = "mmflow_bench.measurements.knockout_rows:wrong_answer_rows"

    @property
    def shard(self) -> Shard:
        return self.sweep.shard

    @property
    def asks_wrong_answers(self) -> bool:
        return True

    @property
    def is_compared(self) -> bool:
        """False: which answers are wrong differs between checkpoints."""
        return False

    def by(self, method: Method) -> None:
        """None: wrong answers are few, and of part of them there are fewer."""

    def table(self, kept: Kept, rows: pa.Table) -> SweepTable:
        """Of the wrongly answered among the kept samples."""
        return self.sweep.table(kept.where(~kept.is_correct), rows)
