"""Lines and columns for terminals: how every table of the project is laid out, by rich."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TextIO

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from mmflow_bench.reports.escaping import aligned, uncommanded

_MOST_SIGNS = 20_000
"""Of a cell or a line; a sentence has a hundredth of it."""


class Column(NamedTuple):
    """A column by its head; it grows with what stands in it."""

    head: str
    width: int = 0
    """What it takes at least, so that the tables of one report stand below each other."""
    is_number: bool = False
    is_wrapped: bool = False
    """What does not fit goes on in the next line."""


def terminal_width() -> int:
    """Columns of the terminal; 100 where there is none."""
    return shutil.get_terminal_size((100, 24)).columns


def has_colours(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")


def printed(parts: Iterable[RenderableType], *, width: int, colour: bool = False) -> str:
    """Lines and tables as text, with ANSI colours if wanted."""
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=width,
        force_terminal=colour,
        no_color=not colour,
        color_system="standard" if colour else None,
        highlight=False,
        legacy_windows=False,
    )
    for part in parts:
        if isinstance(part, Text):
            # rich joins texts before it prints them, which loses how each is to be folded.
            console.print(_harmless(part), no_wrap=part.no_wrap, overflow=part.overflow)
        else:
            console.print(part)
    # Tables are padded to their full width; a log or a file need not be.
    return "".join(f"{uncommanded(line.rstrip())}\n" for line in buffer.getvalue().splitlines())


def table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[str | Text]],
    *,
    width: int,
    gap: int = 1,
    indent: int = 2,
) -> Table:
    """Rows in columns; what does not fit into the terminal ends in an ellipsis or is wrapped.

    A row may have cells for the first columns only. `gap` is the space between two columns,
    `indent` that before the first.
    """
    # Text, never strings: rich would take what users write in brackets for its own markup.
    lines = [[Text(" " * indent).append(_text(first)), *map(_text, rest)] for first, *rest in rows]
    grid = Table.grid(padding=(0, gap, 0, 0))
    room = width
    for i, column in enumerate(columns):
        known = [line[i].cell_len for line in lines if i < len(line)]
        taken = max([column.width + (0 if i else indent), *known])
        # Given widths, or rich takes a little from every column where one is too long.
        grid.add_column(
            width=min(taken, max(1, room)),
            justify="right" if column.is_number else "left",
            no_wrap=not column.is_wrapped,
            overflow="fold" if column.is_wrapped else "ellipsis",
        )
        room -= taken + gap
    for line in lines:
        grid.add_row(*line)
    return grid


def head(columns: Sequence[Column], *, width: int) -> Table:
    return table(columns, [[Text(column.head, style="dim") for column in columns]], width=width)


def _text(cell: str | Text) -> Text:
    return _harmless(cell if isinstance(cell, Text) else Text(cell))


def _harmless(text: Text) -> Text:
    """Text whose signs a terminal shows and none of which it obeys, in the same styles."""
    shown = text.copy()
    shown.plain = aligned(text.plain[:_MOST_SIGNS])
    return shown
