"""Whether a task may still turn out to be mastered, told while its samples are measured.

Verdicts need a share of correct answers. Asking for all answers first would take every sample
through the model twice; asking for none would knock out edges of a checkpoint that cannot answer.
"""

from __future__ import annotations

from mmflow_bench.measurements.wants import ANSWER_SCOPE, ANSWERS, UNSCORED, Rows


class Mastery:
    """Counts wrong answers, and tells when too many are wrong whatever the others are."""

    def __init__(self, selected: int, *, wrong: int, unscored: int, minimum: float) -> None:
        """Start from what is known already.

        Args:
            selected: Samples of the task.
            wrong: Those known to be answered wrongly.
            unscored: Those known to have no answer that could be scored.
            minimum: Share of the scored samples that must be answered correctly.
        """
        self._selected = selected
        self._wrong = wrong
        self._unscored = unscored
        self._minimum = minimum

    def see(self, rows: Rows) -> None:
        """Count what was measured of one sample."""
        self._wrong += sum(not row["is_correct"] for row in rows.get(ANSWERS, ()))
        refused = rows.get(UNSCORED, ())
        self._unscored += any(row["scope"] == ANSWER_SCOPE for row in refused)

    def is_possible(self) -> bool:
        """Whether the share is reached if all other samples are answered correctly."""
        scored = self._selected - self._unscored
        return scored - self._wrong >= self._minimum * scored
