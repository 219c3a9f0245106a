"""`mmflow trace`: one question about one photo, shown in the terminal or written as a picture."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import click

from mmflow_bench.cli.options import Asked, Parsed, asking, require_output
from mmflow_bench.cli.saying import say
from mmflow_bench.options import Place, listed
from mmflow_bench.reports.columns import has_colours, terminal_width
from mmflow_bench.tracing.saving import SUFFIXES, save_trace
from mmflow_bench.tracing.terminal import render_trace
from mmflow_bench.tracing.trace import REACH, SIDE
from mmflow_bench.tracing.trace import trace as traced


def _words(option: str, text: str) -> tuple[str, ...]:
    """What stands in the question; a ValueError for text that holds nothing."""
    return listed(option, text, "words of the question")


@click.command()
@click.option("--image", type=click.Path(path_type=Path), help="The photo.")
@click.option("--question", required=True, help="As it is asked, without the prompt around it.")
@click.option(
    "--options",
    type=Parsed(partial(_words, "--options")),
    default=(),
    metavar="ONE,OTHER",
    help="The two answers that the question offers, as they stand in it.",
)
@click.option(
    "--objects",
    type=Parsed(partial(_words, "--objects")),
    default=(),
    metavar="NAME,...",
    help="What the question asks about, as it stands in it.",
)
@click.option("--caption", help="Text that stands in for the photo.")
@click.option(
    "--parts",
    type=click.IntRange(1, 24),
    default=SIDE,
    show_default=True,
    help="Parts of the photo from left to right, and from top to bottom.",
)
@click.option(
    "--neighbours",
    type=click.IntRange(0, 12),
    default=REACH,
    show_default=True,
    help="Parts to every side that are cut off together with one.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="FILE.html, FILE.svg or FILE.png; the terminal when left out.",
)
@asking(Place.TRACE)
def trace(
    asked: Asked,
    image: Path | None,
    question: str,
    options: tuple[str, ...],
    objects: tuple[str, ...],
    caption: str | None,
    parts: int,
    neighbours: int,
    output: Path | None,
) -> None:
    """Where in checkpoint and photo the answer to one question comes from.

    The answer with its probability, what is lost when an edge is cut around each layer, what the
    logit lens reads, and what each part of the photo takes with it. One sample is no mechanism:
    `mmflow run` asks many.
    """
    require_output(output, SUFFIXES)
    found = traced(
        asked.spec,
        question=question,
        image=image,
        options=options,
        objects=objects,
        caption=caption,
        window=asked.measurement.window,
        parts=parts,
        neighbours=neighbours,
    )
    if output is not None:
        say(f"trace: {save_trace(found, output)}")
        return
    colour = has_colours(sys.stdout)
    shown = render_trace(found, width=terminal_width(), colour=colour)
    click.echo(shown, nl=False, color=colour)
