"""What a command prints: lines of which no terminal and no log obeys anything, and JSON.

Tables come from `reports.columns`, which sees to the same.
"""

from __future__ import annotations

import click

from mmflow_bench.reports.escaping import json_text, printable


def say(line: object, *, to_error: bool = False, colour: str | None = None) -> None:
    """Print a line, whoever has written what is in it."""
    shown = printable(line)
    click.echo(click.style(shown, fg=colour) if colour else shown, err=to_error)


def say_json(text: str) -> None:
    """Print JSON, of one value or a line."""
    click.echo(json_text(text.removesuffix("\n")))
