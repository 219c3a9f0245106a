"""`mmflow report`: the tables of a run again, from its folder."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--html", "is_html", is_flag=True, help="Write report.html into the run folder.")
@click.option("--markdown", "is_markdown", is_flag=True, help="As Markdown, on standard output.")
@click.option("--width", type=click.IntRange(60), help="Columns; those of the terminal.")
def report(run: Path, is_html: bool, is_markdown: bool, width: int | None) -> None:
    """Print the verdicts of a run again, and its comparison with a baseline if there was one."""
    from mmflow_bench.reports.reprint import read_summary

    if is_html:
        from mmflow_bench.plugin.reporting import write_html

        click.echo(str(write_html(run)))
        return
    summary, facts = read_summary(run)
    if is_markdown:
        from mmflow_bench.reports.markdown import markdown

        click.echo(markdown(summary), nl=False)
        return
    from mmflow_bench.reports.comparison_table import render_comparison
    from mmflow_bench.reports.terminal import render

    columns = width or shutil.get_terminal_size((100, 24)).columns
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    click.echo(render(summary.rows, facts=facts, width=columns, colour=colour), color=colour)
    if summary.comparison is not None:
        text = render_comparison(summary.comparison, width=columns, colour=colour)
        click.echo(text, nl=False, color=colour)
    if summary.gate is not None:
        click.echo(f"gate: {summary.gate.line}")
