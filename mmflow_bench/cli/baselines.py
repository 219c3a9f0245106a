"""`mmflow bless` and `mmflow compare`: runs as baselines, and runs against them."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mmflow_bench.baselines.blessing import bless as make_baseline
from mmflow_bench.baselines.comparing import compared_runs
from mmflow_bench.baselines.gate import gate_decision
from mmflow_bench.baselines.paired_experiment import NotComparable
from mmflow_bench.baselines.paired_records import BaselineComparison
from mmflow_bench.baselines.tolerances import DECIDED, parse_share, parse_tolerance
from mmflow_bench.cli.options import ALLOW_INCOMPLETE, ALPHA, Parsed
from mmflow_bench.cli.saying import say, say_json
from mmflow_bench.reports.columns import has_colours, terminal_width
from mmflow_bench.reports.comparison_table import render_comparison
from mmflow_bench.reports.power_table import comparison_could_have_seen

REGRESSION, NOT_COMPARABLE, INCONCLUSIVE = 1, 3, 4
"""Exit codes of `mmflow compare`; 2 is click's own."""


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--baselines",
    "root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("baselines"),
    show_default=True,
    help="Folder of baselines.",
)
@click.option("--name", help="Of the baseline; that of the checkpoint when left out.")
@click.option("--allow-limited", is_flag=True, help="Also a run with --limit, which stays stamped.")
@ALLOW_INCOMPLETE
def bless(
    run: Path, root: Path, name: str | None, allow_limited: bool, allow_incomplete: bool
) -> None:
    """Write baselines/NAME from a run folder: verdicts as JSON, values of samples as Parquet.

    Commit it, or upload it as a data set: `--baseline=NAME`, `--baseline=FOLDER` and
    `--baseline=hub:OWNER/NAME` compare later runs with it.
    """
    folder = make_baseline(
        run, root, name=name, allow_limited=allow_limited, allow_incomplete=allow_incomplete
    )
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    say(f"baseline: {folder} ({size / 1024:.0f} KiB)")


@click.command()
@click.argument("run_a", metavar="BASE")
@click.argument("run_b", metavar="RUN")
@click.option(
    "--fail-on",
    type=click.Choice(["regression", "inconclusive", "none"]),
    default="regression",
    show_default=True,
    help="inconclusive: also what the samples do not decide.",
)
@click.option(
    "--decided",
    type=Parsed(parse_share),
    default=DECIDED,
    show_default=True,
    help="Share of the comparable rows that must be shown to be unchanged.",
)
@click.option("--tolerance", type=Parsed(parse_tolerance), help="0.1, 10% or effect=0.1,depth=0.1")
@ALPHA
@click.option("--json", "is_json", is_flag=True, help="comparison.json on standard output.")
@click.option("--offline", is_flag=True, help="Never ask a hub.")
@ALLOW_INCOMPLETE
@click.pass_context
def compare(
    ctx: click.Context,
    run_a: str,
    run_b: str,
    fail_on: str,
    decided: float,
    tolerance: dict[str, float] | None,
    alpha: float,
    is_json: bool,
    offline: bool,
    allow_incomplete: bool,
) -> None:
    """Compare RUN with BASE, mechanism by mechanism.

    BASE is a run folder, a name or folder of baselines, hub:OWNER/NAME or paper/MODEL; RUN is a run
    folder. Exits with 0 when nothing has changed and enough is decided; 1 when something has
    changed or is not answered any more; 3 when the comparison says nothing (other experiments,
    missing rows, a failed self-test); 4 when too little is decided, or with --fail-on=inconclusive
    one row is not.
    """
    try:
        found = compared_runs(
            run_a,
            run_b,
            tolerance or parse_tolerance(None),
            alpha,
            offline,
            allow_incomplete=allow_incomplete,
        )
    except NotComparable as error:
        say(f"mmflow: {error}", to_error=True, colour="red" if has_colours(sys.stderr) else None)
        ctx.exit(NOT_COMPARABLE)
    if is_json:
        say_json(found.as_json())
    else:
        colour = has_colours(sys.stdout)
        text = render_comparison(found, width=terminal_width(), colour=colour)
        click.echo(text, nl=False, color=colour)
    code, line = _conclusion(found, fail_on, decided)
    say(f"{line} (--fail-on={fail_on})", to_error=is_json)
    if seen := comparison_could_have_seen(found):
        say(seen, to_error=is_json)
    ctx.exit(code)


def _conclusion(found: BaselineComparison, fail_on: str, decided: float) -> tuple[int, str]:
    """The exit code, and the same in words."""
    if fail_on == "none":
        return 0, "not gated"
    verdict = gate_decision(found, decided=decided, fail_undecided=fail_on == "inconclusive")
    if verdict.passed:
        return 0, "passed"
    if found.changed or found.lost:
        return REGRESSION, verdict.line
    is_open = found.comparable and not found.baseless
    return INCONCLUSIVE if is_open else NOT_COMPARABLE, verdict.line
