"""`mmflow report` and `mmflow leaderboard`: runs shown again, one by one or side by side."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from mmflow_bench.baselines.sources import source_here
from mmflow_bench.cli.options import ALLOW_INCOMPLETE
from mmflow_bench.cli.saying import say
from mmflow_bench.errors import BaselineError
from mmflow_bench.plugin.reporting import glances_of, write_html
from mmflow_bench.reports.columns import has_colours, terminal_width
from mmflow_bench.reports.comparison_table import render_comparison
from mmflow_bench.reports.github import MOST_BYTES, markdown
from mmflow_bench.reports.glance.writing import write_glance
from mmflow_bench.reports.leaderboard.exports import HUB_BENCHMARK
from mmflow_bench.reports.leaderboard.writing import write_leaderboard
from mmflow_bench.reports.power_table import comparison_could_have_seen
from mmflow_bench.reports.summary import Summary, read_summary
from mmflow_bench.reports.terminal import render


@click.command()
@click.argument(
    "runs",
    metavar="RUN...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option("--html", "is_html", is_flag=True, help="Write report.html into the run folder.")
@click.option(
    "--baseline",
    help="With --html or --glance: a run folder or a baseline that is drawn behind or beside; the "
    "one that was measured beside the run when left out.",
)
@ALLOW_INCOMPLETE
@click.option(
    "--pictures",
    "has_pictures",
    is_flag=True,
    help="With --html: show the images again, read from where the run says that they are. For runs "
    "of your own: another's may name any folder of this machine.",
)
@click.option(
    "--glance",
    "picture",
    metavar="FILE.svg",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write one picture of what the checkpoint does, with one sentence on it; with a baseline "
    "before and after side by side.",
)
@click.option("--markdown", "is_markdown", is_flag=True, help="As Markdown, on standard output.")
@click.option("--width", type=click.IntRange(60, 10_000), help="Columns; those of the terminal.")
def report(
    runs: tuple[Path, ...],
    is_html: bool,
    baseline: str | None,
    allow_incomplete: bool,
    has_pictures: bool,
    picture: Path | None,
    is_markdown: bool,
    width: int | None,
) -> None:
    """Print the verdicts of runs again, and their comparisons with a baseline if there were any.

    The Markdown of all runs together fits into one comment on a pull request.
    """
    behind = _drawn_behind(baseline, allow_incomplete) if baseline else None
    if picture is not None:
        say(f"glance: {_glance(runs, picture, behind)}")
    if is_html:
        for run in runs:
            say(write_html(run, baseline=behind, has_pictures=has_pictures))
    elif is_markdown:
        text = _markdown(runs)
        # Whoever reads the file takes it for UTF-8, whatever this system writes into files.
        click.echo(text if sys.stdout.isatty() else text.encode(), nl=False)
    elif picture is None:
        columns = width or terminal_width()
        for run in runs:
            _print(run, columns)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("site"),
    show_default=True,
    help="Folder of the site.",
)
@click.option("--latest", is_flag=True, help="Of several runs of a checkpoint take the newest.")
@click.option(
    "--hub-benchmark",
    metavar="OWNER/NAME",
    default=HUB_BENCHMARK,
    help="Data set that the .eval_results files are for.",
)
def leaderboard(runs: tuple[Path, ...], output: Path, latest: bool, hub_benchmark: str) -> None:
    """Checkpoints against mechanisms, from run folders, as pages that need no server.

    Beside the pages lie index.json, and each checkpoint's results in the format of Every Eval Ever
    and as .eval_results of the Hugging Face hub. Nothing is uploaded.
    """
    page = write_leaderboard(runs, output, latest=latest, benchmark=hub_benchmark)
    say(f"leaderboard: {page}")


def _glance(runs: Sequence[Path], picture: Path, baseline: Path | None) -> Path:
    if len(runs) > 1 or picture.suffix.lower() != ".svg":
        got = f"{len(runs)} runs" if len(runs) > 1 else str(picture)
        raise click.UsageError(
            f"--glance takes one run and a file that ends in .svg, got {got}; beside it stands "
            "what --baseline names"
        )
    return write_glance(picture, glances_of(runs[0], baseline=baseline))


def _drawn_behind(baseline: str, allow_incomplete: bool) -> Path:
    source = source_here(baseline, offline=True, allow_incomplete=allow_incomplete)
    if source.folder is None:
        raise BaselineError(
            f"a run folder or a baseline with values of samples, got {baseline!r}; `mmflow ls "
            "baselines` and `mmflow ls runs` list what there is"
        )
    return source.folder


def _markdown(runs: Sequence[Path]) -> str:
    # A blank line between two of them is a byte of each.
    share = MOST_BYTES // len(runs) - 1
    return "\n".join(markdown(_looked_at(run), most_bytes=share) for run in runs)


def _looked_at(run: Path) -> Summary:
    summary, _ = read_summary(run)
    return replace(summary, glances=tuple(glances_of(run)))


def _print(run: Path, columns: int) -> None:
    summary, facts = read_summary(run)
    colour = has_colours(sys.stdout)
    click.echo(render(summary.rows, facts=facts, width=columns, colour=colour), color=colour)
    if summary.comparison is not None:
        text = render_comparison(summary.comparison, width=columns, colour=colour)
        click.echo(text, nl=False, color=colour)
    if summary.gate is not None:
        say(f"gate: {summary.gate.line}")
        compared = summary.comparison
        if compared is not None and (seen := comparison_could_have_seen(compared)):
            say(f"gate: {seen}")
