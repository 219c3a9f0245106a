"""The sign and colour of every verdict, wherever one is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mmflow_bench.baselines.paired_records import Change


class Sign(NamedTuple):
    """How a verdict is shown; never by its colour alone."""

    page: str
    """On a page, where there is one for every verdict."""
    style: str
    """The colour on a terminal."""
    terminal: str = "-"
    """On a terminal, in signs that most fonts have."""


SIGNS: Mapping[str, Sign] = {
    "holds": Sign("✓", "green", "✓"),
    "fails": Sign("✗", "red", "✗"),
    "inconclusive": Sign("?", "yellow", "?"),
    "precondition-failed": Sign("⊘", "magenta"),
    "instrument-dependent": Sign("≈", "yellow", "?"),
    "not-applicable": Sign("·", "dim"),
    "report": Sign("∘", "cyan", "i"),
    # Between two runs, from what a reader must see first.
    Change.CHANGED: Sign("≠", "bold red", "≠"),
    Change.UNDECIDED: Sign("?", "yellow", "?"),
    Change.NOT_COMPARABLE: Sign("-", "magenta"),
    Change.UNCHANGED: Sign("=", "green", "="),
}
UNKNOWN = Sign("-", "")
FAILED_STYLE = "bold red"
"""Of whatever fails a test, whichever its verdict."""
