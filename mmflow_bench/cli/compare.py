"""`mmflow compare`: two runs, paired on the same samples, with an exit code for CI."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TextIO

import click

from mmflow_bench.baselines.gate import gate_decision
from mmflow_bench.baselines.paired_comparison import compare_runs
from mmflow_bench.baselines.paired_experiment import NotComparable, refuse_limited
from mmflow_bench.baselines.paired_records import BaselineComparison
from mmflow_bench.baselines.paired_values import read_values
from mmflow_bench.baselines.sources import source_here
from mmflow_bench.baselines.tolerances import parse_tolerance
from mmflow_bench.baselines.verdict_level import compare_verdicts
from mmflow_bench.cli.parsed import Parsed
from mmflow_bench.errors import BaselineError
from mmflow_bench.reports.comparison_table import render_comparison
from mmflow_bench.reports.escaping import printable

REGRESSION, NOT_COMPARABLE, INCONCLUSIVE = 1, 3, 4


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
@click.option("--tolerance", type=Parsed(parse_tolerance), help="0.1, 10% or effect=0.1,depth=0.1")
@click.option("--alpha", type=click.FloatRange(0, 0.5, min_open=True, max_open=True), default=0.05)
@click.option("--json", "is_json", is_flag=True, help="comparison.json on standard output.")
@click.option("--offline", is_flag=True, help="Never ask a hub.")
@click.pass_context
def compare(
    ctx: click.Context,
    run_a: str,
    run_b: str,
    fail_on: str,
    tolerance: dict[str, float] | None,
    alpha: float,
    is_json: bool,
    offline: bool,
) -> None:
    """Compare RUN with BASE, mechanism by mechanism.

    BASE is a run folder, a name or folder of baselines, hub:OWNER/NAME or paper/MODEL; RUN is a run
    folder. Exits with 0 when nothing has changed, 1 when something has, 3 when the two were
    different experiments, 4 when something is undecided and --fail-on=inconclusive.
    """
    try:
        found = _compared(run_a, run_b, tolerance or parse_tolerance(None), alpha, offline)
    except NotComparable as error:
        said = printable(f"mmflow: {error}")
        click.secho(said, fg="red", err=True, color=_colour(sys.stderr))
        ctx.exit(NOT_COMPARABLE)
    if is_json:
        click.echo(found.as_json(), nl=False)
    else:
        width = shutil.get_terminal_size((100, 24)).columns
        colour = _colour(sys.stdout)
        click.echo(render_comparison(found, width=width, colour=colour), nl=False, color=colour)
    code, line = _conclusion(found, fail_on)
    click.echo(printable(f"{line} (--fail-on={fail_on})"), err=is_json)
    ctx.exit(code)


def _compared(
    run_a: str, run_b: str, tolerance: dict[str, float], alpha: float, offline: bool
) -> BaselineComparison:
    source = source_here(run_a, offline=offline)
    tuned = read_values(Path(run_b))
    if source.kind == "verdicts":
        return compare_verdicts(run_a, source.verdicts, tuned, alpha=alpha, source=source.origin)
    if source.folder is None:
        raise BaselineError(
            f"a run folder or a baseline, got {run_a!r}; a checkpoint is measured and compared by "
            "`pytest suites/ --model=... --baseline=...`"
        )
    base = read_values(source.folder)
    if source.is_blessed:
        refuse_limited(base, tuned)
    return compare_runs(base, tuned, tolerance=tolerance, alpha=alpha)


def _conclusion(found: BaselineComparison, fail_on: str) -> tuple[int, str]:
    """The exit code, and the same in words."""
    if fail_on == "none":
        return 0, "not gated"
    verdict = gate_decision(found, fail_undecided=fail_on == "inconclusive")
    if verdict.passed:
        return 0, "passed"
    if found.changed:
        return REGRESSION, verdict.line
    return (INCONCLUSIVE if found.rows and fail_on == "inconclusive" else NOT_COMPARABLE), (
        verdict.line
    )


def _colour(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")
