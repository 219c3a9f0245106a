"""The sign, colour and short name of every verdict, wherever one is shown.

And what stands in for a sign where the output is not UTF-8: on Windows a file that output is
redirected to is cp1252; a log may be ASCII. Without it Python ends with an error there, and pytest
writes a table as one line of escapes.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Mapping
from typing import NamedTuple

from mmflow_bench.baselines.paired_records import Change
from mmflow_bench.mechanisms.numbers import BLOCKS


class Sign(NamedTuple):
    """How a verdict is shown; never by its colour alone."""

    page: str
    """On a page, where there is one for every verdict."""
    style: str
    """The colour on a terminal."""
    terminal: str = "-"
    """On a terminal, in signs that most fonts have."""
    short: str = ""
    """Its name where a column is narrow."""


SIGNS: Mapping[str, Sign] = {
    "holds": Sign("✓", "green", "✓"),
    "fails": Sign("✗", "red", "✗"),
    "inconclusive": Sign("?", "yellow", "?"),
    "precondition-failed": Sign("⊘", "magenta", short="precondition"),
    "instrument-dependent": Sign("≈", "yellow", "?", "instrument"),
    "not-applicable": Sign("·", "dim"),
    # Between two runs, from what a reader must see first.
    Change.CHANGED: Sign("≠", "bold red", "≠"),
    Change.UNDECIDED: Sign("?", "yellow", "?"),
    Change.NOT_COMPARABLE: Sign("-", "magenta"),
    Change.UNCHANGED: Sign("=", "green", "="),
}
UNKNOWN = Sign("-", "")
FAILED_STYLE = "bold red"
"""Of whatever fails a test, whichever its verdict."""

NAME = "mmflow-signs"
"""Of the error handler, for `errors=`."""
_STAND_INS = {
    **{"✓": "+", "✗": "x", "≠": "#", "─": "-", "…": "~", "⊘": "o", "≈": "~", "·": "."},
    # A curve stays a curve: its height in digits.
    **{block: str(height) for height, block in enumerate(BLOCKS, start=1)},
}


def encodable(text: str, encoding: str | None) -> str:
    """A text in signs that an encoding has, as many as before.

    >>> encodable("✓ holds ▁█", "ascii"), encodable("✓ holds", "utf-8")
    ('+ holds 18', '✓ holds')
    """
    known = encoding or "utf-8"
    return text.encode(known, NAME).decode(known)


def replace_in(stream: object) -> None:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=NAME)


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(_STAND_INS.get(sign, "?") for sign in signs), error.end


codecs.register_error(NAME, _stand_in)
