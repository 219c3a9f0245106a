"""The signs of the tables where the output is not UTF-8: each has one that every encoding has.

On Windows a file that output is redirected to is cp1252; a log may be ASCII. Without this module
Python ends with an error there, and pytest writes a table as one line of escapes.
"""

from __future__ import annotations

import codecs
import io

from mmflow_bench.mechanisms.sparkline import BLOCKS

NAME = "mmflow-signs"
"""Of the error handler, for `errors=`."""
_SIGNS = {
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
    """Let a stream write what its encoding does not have in other signs."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=NAME)


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(_SIGNS.get(sign, "?") for sign in signs), error.end


codecs.register_error(NAME, _stand_in)
