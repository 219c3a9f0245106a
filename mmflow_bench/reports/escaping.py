"""Text that somebody else has written, made harmless for the place where it is shown.

Names of checkpoints, tasks and files come from users, and in a pull request from anybody. And the
place may not know our own signs: on Windows a file that output is redirected to is cp1252; a log
may be ASCII. Without stand-ins Python ends with an error there, and pytest writes a table as one
line of escapes.
"""

from __future__ import annotations

import codecs
import html
import io
import re
import unicodedata
from functools import cache

from mmflow_bench.mechanisms.numbers import BLOCKS

MOST = 200
"""Characters of a user's text that any report shows."""
_ENTITIES = {ord(sign): f"&#{ord(sign)};" for sign in "\\`*_[]|~$"}
_SILENT = {ord("@"): "@\u200b", ord("#"): "#\u200b"}
"""An invisible space keeps GitHub from calling people and linking issues."""
_LINKS = re.compile(r"(?i)(:)(?=//)|(\bwww)(?=\.)|(\bGH-)(?=\d)")
"""Where GitHub would make a link of bare text."""
_COMMANDS = (("::", ":\u200b:"), ("##[", "#\u200b#["))
"""GitHub obeys what a log has at the start of a line, and a terminal folds lines anywhere."""
_RIGHT_TO_LEFT = frozenset({"R", "AL", "RLE", "RLO", "RLI", "AN"})
_BLANK = frozenset({"Cc", "Zl", "Zp"})
CONTROLS = {
    sign: "\N{REPLACEMENT CHARACTER}"
    for sign in (*range(32), *range(127, 160))
    if sign not in b"\n\t"
}
"""For `str.translate`: what a page or a file of text has none of."""
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_ISOLATE, _POP = "\u2068", "\u2069"
_HANDLER = "mmflow-signs"
"""Name of the error handler, for `errors=`."""
_STAND_INS = {
    **{"✓": "+", "✗": "x", "≠": "#", "─": "-", "…": "~", "⊘": "o", "≈": "~", "·": "."},
    # A curve stays a curve: its height in digits.
    **{block: str(height) for height, block in enumerate(BLOCKS, start=1)},
}


def plain(text: object, most: int = MOST) -> str:
    """One line without control characters and direction marks, cut to `most` characters.

    >>> plain("a  b"), plain("x" * 300, 5)
    ('a b', 'xxxx…')
    """
    line = " ".join(printable(str(text)[: 4 * most]).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def printable(text: object) -> str:
    """A line for a terminal or a log in full length: nothing in it is obeyed by either.

    >>> printable("two  spaces"), len(printable("::error::"))
    ('two  spaces', 11)
    """
    return uncommanded("".join(one for sign in str(text) if (one := _shown(sign)) is not None))


def aligned(text: str) -> str:
    r"""The same without what a terminal obeys, in as many signs as before.

    >>> aligned("a\x1b[31mb"), len(aligned("a\u202eb"))
    ('a [31mb', 3)
    """
    return "".join(_shown(sign) or "\N{REPLACEMENT CHARACTER}" for sign in text)


def uncommanded(line: str) -> str:
    """A line of a log that GitHub does not obey."""
    for command, harmless in _COMMANDS:
        line = line.replace(command, harmless)
    return line


def json_text(text: str) -> str:
    r"""The same of JSON, whose value stays what it was.

    >>> json_text('"##[error]"')
    '"#\\u0023[error]"'
    """
    return text.replace("##[", "#\\u0023[")


def markdown(text: object, most: int = MOST) -> str:
    """A user's text in a cell or a line of Markdown: neither markup nor a mention, link or tag.

    >>> markdown("<b>|`x`")
    '&lt;b&gt;&#124;&#96;x&#96;'
    """
    line = plain(text, most)
    unlinked = _LINKS.sub(lambda found: f"{found[0]}\u200b", line)
    escaped = html.escape(unlinked, quote=False).translate(_SILENT).translate(_ENTITIES)
    if any(unicodedata.bidirectional(sign) in _RIGHT_TO_LEFT for sign in line):
        # What is written from right to left must not turn its neighbours around.
        return f"{_ISOLATE}{escaped}{_POP}"
    return escaped


def command_value(text: object, most: int = 1000) -> str:
    """The message of a GitHub workflow command.

    >>> command_value("100%")
    '100%25'
    """
    return plain(text, most).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def command_property(text: object, most: int = MOST) -> str:
    """A property of a GitHub workflow command, such as its title."""
    return command_value(text, most).replace(":", "%3A").replace(",", "%2C")


def xml_text(text: object, most: int = MOST) -> str:
    """Text without what XML 1.0 forbids; escaping is up to the writer."""
    return "".join(sign for sign in plain(text, most) if not "\ud800" <= sign <= "\udfff")


def encodable(text: str, encoding: str | None) -> str:
    """A text in signs that an encoding has, as many as before.

    >>> encodable("✓ holds ▁█", "ascii"), encodable("✓ holds", "utf-8")
    ('+ holds 18', '✓ holds')
    """
    known = encoding or "utf-8"
    return text.encode(known, _HANDLER).decode(known)


def replace_in(stream: object) -> None:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=_HANDLER)


@cache
def _shown(sign: str) -> str | None:
    """What stands for a sign in a line; None where nothing does."""
    kind = unicodedata.category(sign)
    if kind in _BLANK:
        return " "
    return None if kind in {"Cs", "Cn"} or sign in _DIRECTIONS else sign


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(_STAND_INS.get(sign, "?") for sign in signs), error.end


codecs.register_error(_HANDLER, _stand_in)
