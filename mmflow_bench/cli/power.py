"""`mmflow power`: how many images a gate needs, and what change a run could have seen."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from click.core import ParameterSource

from mmflow_bench.baselines.comparing import compared_runs
from mmflow_bench.baselines.power import Power, power_of_comparison
from mmflow_bench.baselines.sources import refuse_incomplete
from mmflow_bench.baselines.tolerances import (
    DECIDED,
    DEFAULT_ALPHA,
    parse_alpha,
    parse_power,
    parse_share,
    parse_tolerance,
)
from mmflow_bench.baselines.verdict_power import power_of_verdicts
from mmflow_bench.cli.options import ALLOW_INCOMPLETE, Asked, Parsed, asking
from mmflow_bench.cli.pilot import piloted
from mmflow_bench.cli.saying import say_json
from mmflow_bench.errors import BaselineError
from mmflow_bench.options import Place
from mmflow_bench.reports.columns import has_colours, terminal_width
from mmflow_bench.reports.power_table import render_power
from mmflow_bench.reports.summary import summary_of
from mmflow_bench.runs.reading import named_by_user, read_run
from mmflow_bench.statistics.power import POWER

PILOT = 20
"""Images per task."""
_MODEL = "mmflow_model"
"""What click calls --model, which a variable may have given, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What is planned for; what is None is as in the run."""

    tolerance: Mapping[str, float] | None
    alpha: float | None
    power: float
    decided: float
    offline: bool
    allow_incomplete: bool


@click.command()
@click.argument("run", required=False, type=click.Path(path_type=Path))
@click.argument("base_run", required=False)
@click.option("--baseline", metavar="BASE", help="What a pilot of --model is compared with.")
@click.option(
    "--pilot",
    type=click.IntRange(2),
    default=PILOT,
    show_default=True,
    help="Images per task that are measured to plan by.",
)
@click.option("--tolerance", type=Parsed(parse_tolerance), help="0.1, 10% or effect=0.1,depth=0.1")
@click.option(
    "--alpha",
    type=Parsed(parse_alpha),
    help="Error rate; that of the run when left out.",
)
@click.option(
    "--power",
    type=Parsed(parse_power),
    default=POWER,
    show_default=True,
    help="How often what is there is to be found.",
)
@click.option(
    "--decided",
    type=Parsed(parse_share),
    default=DECIDED,
    show_default=True,
    help="Share of the rows that have to be decided.",
)
@click.option("--json", "is_json", is_flag=True, help="As JSON, on standard output.")
@ALLOW_INCOMPLETE
@asking(Place.MEASURE)
def power(
    asked: Asked,
    run: Path | None,
    base_run: str | None,
    baseline: str | None,
    pilot: int,
    is_json: bool,
    allow_incomplete: bool,
    tolerance: Mapping[str, float] | None,
    alpha: float | None,
    power: float,
    decided: float,
) -> None:
    """How many images the gate needs, from a pilot, or what change RUN could have seen.

    Before a run, --model and --baseline are measured on a few images of each task and compared;
    without --baseline the verdicts of --model are planned by themselves. After a run, RUN is a run
    folder and BASE_RUN what it is compared with, as in `mmflow compare`; its own comparison when
    left out.
    """
    _require_one_question(asked, run, baseline)
    wanted = _Wanted(
        tolerance=tolerance,
        alpha=alpha,
        power=power,
        decided=decided,
        offline=asked.checkpoint.offline,
        allow_incomplete=allow_incomplete,
    )
    if run is None:
        with TemporaryDirectory() as folder:
            measured = piloted(asked, baseline, pilot, alpha, Path(folder))
            found = _planned(measured, None, wanted)
    else:
        found = _planned(run, base_run, wanted)
    if is_json:
        say_json(found.as_json())
    else:
        colour = has_colours(sys.stdout)
        text = render_power(found, width=terminal_width(), colour=colour)
        click.echo(text, nl=False, color=colour)


def _require_one_question(asked: Asked, run: Path | None, baseline: str | None) -> None:
    """Refuse options that ask for nothing, or for a plan and a finished run at once."""
    source = click.get_current_context().get_parameter_source(_MODEL)
    if asked.measurement.limit:
        raise click.UsageError("--pilot says how many images are measured; drop --limit")
    if run is not None and (baseline is not None or source is ParameterSource.COMMANDLINE):
        got = "--baseline" if baseline is not None else "--model"
        raise click.UsageError(
            f"a run folder (with BASE_RUN), or --model with --baseline, got RUN and {got}"
        )
    if run is None and not asked.checkpoint.models:
        got = "--baseline without --model" if baseline is not None else "neither"
        raise click.UsageError(
            f"--model (with --baseline, to plan a gate), or a run folder, got {got}"
        )


def _planned(run: Path, base_run: str | None, wanted: _Wanted) -> Power:
    """What a run folder could have seen, and what it needs.

    Raises:
        BaselineError: It is none, or not one of its rows has an interval.
    """
    found = _power_of(run, base_run, wanted)
    if found.needs is None:
        reasons = "; ".join(dict.fromkeys(row.reason for row in found.rows)) or "no rows at all"
        raise BaselineError(
            f"a run with an interval in some row, got {reasons} (run {run.name}); `mmflow run` and "
            "`mmflow report` show all of it"
        )
    return found


def _power_of(run: Path, base_run: str | None, wanted: _Wanted) -> Power:
    margins = dict(wanted.tolerance or parse_tolerance(None))
    if base_run is not None:
        level = wanted.alpha or DEFAULT_ALPHA
        found = compared_runs(
            base_run,
            str(run),
            margins,
            level,
            wanted.offline,
            allow_incomplete=wanted.allow_incomplete,
        )
        return power_of_comparison(found, power=wanted.power, decided=wanted.decided)
    with named_by_user(BaselineError, "a run folder with results.json and its tables", run):
        record = read_run(run)
        if not wanted.allow_incomplete:
            refuse_incomplete(run, record.results.incomplete)
        kept = summary_of(record).comparison
    if kept is None or kept.kind != "paired":
        if wanted.alpha not in (None, record.alpha):
            raise BaselineError(
                f"the error rate that the intervals of the run have ({record.alpha:g}), got "
                f"--alpha={wanted.alpha:g} ({run}); run again with it"
            )
        return power_of_verdicts(
            record, tolerance=margins, power=wanted.power, decided=wanted.decided
        )
    if kept.refused:
        raise BaselineError(
            f"a comparison of one experiment, got {'; '.join(kept.refused)} ({run}); give another "
            "BASE_RUN"
        )
    return power_of_comparison(
        kept,
        tolerance=wanted.tolerance,
        alpha=wanted.alpha,
        power=wanted.power,
        decided=wanted.decided,
    )
