"""The comparisons that the running mechanism has made, for the reports."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from mmflow_bench.mechanisms.verdicts import Verdict

if TYPE_CHECKING:
    from mmflow_bench.mechanisms.comparisons import Comparison


class Recorder:
    """Comparisons in the order in which they were decided."""

    is_watching = False
    """Whether a test is run only to see what it asks, so that no comparison may end it."""

    def __init__(self) -> None:
        self.comparisons: list[Comparison] = []

    def record(self, comparison: Comparison) -> None:
        """Keep a comparison; asking the same one twice, as a failing assert does, counts once."""
        if not any(known is comparison for known in self.comparisons):
            self.comparisons.append(comparison)

    @property
    def deciding(self) -> Comparison | None:
        """The comparison that a report should show: the least favourable one, None without any."""
        return least_favourable(self.comparisons) if self.comparisons else None


current_recorder: ContextVar[Recorder | None] = ContextVar("current_recorder", default=None)
"""The recorder of the running mechanism; None outside of one."""

_ORDER = (Verdict.FAILS, Verdict.INSTRUMENT_DEPENDENT, Verdict.INCONCLUSIVE, Verdict.HOLDS)


def least_favourable(comparisons: list[Comparison]) -> Comparison:
    """The one with the worst verdict, and among equals the one that holds least clearly.

    What holds beyond doubt is equally clear; of such the last is shown, since mechanisms name what
    they presuppose before what they claim.
    """
    return min(
        reversed(comparisons),
        key=lambda one: (_ORDER.index(one.verdict), -round(one.p_hold, 3), round(one.p_fail, 3)),
    )
