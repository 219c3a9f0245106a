"""Statements about several estimates or comparisons at once.

Suites import these, and listing mechanisms reads the suites: what needs numpy is imported when a
statement is made, not when it is written down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmflow_bench.mechanisms.comparisons import Comparison
    from mmflow_bench.mechanisms.estimates import Estimate


def agree(estimates: Sequence[Estimate], *, within: float) -> Comparison:
    """Whether no two of several estimates differ by more than `within`, paired by image."""
    from mmflow_bench.mechanisms import estimates as numbers

    return numbers.agree(estimates, within=within)


def average(estimates: Sequence[Estimate]) -> Estimate:
    """The mean over tasks, say, paired by image."""
    from mmflow_bench.mechanisms import estimates as numbers

    return numbers.average(estimates)


def at_least(required: int, comparisons: Sequence[Comparison]) -> Comparison:
    """At least `required` of the comparisons hold: a partial conjunction (Benjamini-Heller).

    Raises:
        ValueError: More are required than there are.
    """
    from mmflow_bench.mechanisms import comparisons as decisions

    return decisions.at_least(required, comparisons)
