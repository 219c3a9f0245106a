"""`mmflow campaign`: many checkpoints, one after the other, and one leaderboard of them."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path

import click

from mmflow_bench.campaigns.asked import Campaign, Part, read_campaign
from mmflow_bench.campaigns.foreseeing import Foreseen, foresee
from mmflow_bench.campaigns.ledger import Ledger, only_one
from mmflow_bench.campaigns.running import Outcome, carried_out
from mmflow_bench.cli.run import suites_folder
from mmflow_bench.cli.saying import say
from mmflow_bench.errors import MMFlowError
from mmflow_bench.reports.columns import Column, printed, table, terminal_width
from mmflow_bench.reports.leaderboard.writing import write_leaderboard

SITE = "site"
_FORESEEN = (
    Column("checkpoint"),
    Column("suite"),
    Column("samples", is_number=True),
    Column("stored", is_number=True),
    Column("hours", is_number=True),
    Column("", is_wrapped=True),
)
_ENDED = (Column("checkpoint"), Column("suite"), Column("state"), Column("", is_wrapped=True))


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--dry-run",
    "is_dry",
    is_flag=True,
    help="Run nothing: say of each part how many samples it has, how many of them the store has "
    "already, and by a pilot of three samples how many hours the rest takes on one device.",
)
@click.option(
    "--again", "is_again", is_flag=True, help="Also what is done; the store keeps that short."
)
@click.pass_context
def campaign(ctx: click.Context, file: Path, is_dry: bool, is_again: bool) -> None:
    """Run suites on many checkpoints as FILE says, and make a leaderboard of the runs.

    FILE is in YAML: `checkpoints`, `suites`, `tasks`, `options` of `mmflow run`, priorities and
    hours. The same command again goes on where it was stopped. A checkpoint that cannot be
    measured stops no other; the exit code is 1 while anything is left.
    """
    asked = read_campaign(file)
    # As if each run were typed where the file lies.
    with chdir(asked.folder):
        ctx.exit(int(_foretold(asked) if is_dry else _run(asked, is_again=is_again)))


def _foretold(asked: Campaign) -> bool:
    """Whether anything stands in the way."""
    suites = (suites_folder(asked.folder),)
    rows: list[tuple[str, ...]] = []
    hours, is_wrong = 0.0, False
    for part in asked.parts:
        try:
            found = foresee(part, suites)
        except (MMFlowError, OSError) as error:
            is_wrong = True
            rows.append((part.model, part.suite, "", "", "", str(error)))
        else:
            hours += found.hours
            rows.append((part.model, part.suite, *_numbers(part, found)))
    _print(_FORESEEN, rows)
    used = Ledger(asked.output).seconds() / 3600
    limit = f" of {asked.hours:g}" if asked.hours is not None else ""
    say(f"{hours:.2g} hours on one device; {used:.2g}{limit} used so far")
    return is_wrong


def _numbers(part: Part, found: Foreseen) -> Iterator[str]:
    yield from (str(found.samples), str(found.stored), f"{found.hours:.2g}")
    yield "at most, for --stat=anytime" if part.settings.stat == "anytime" else ""


def _run(asked: Campaign, *, is_again: bool) -> bool:
    """Whether anything is left."""
    with only_one(asked.output), _terminable():
        ledger = Ledger(asked.output)
        ended: list[Outcome] = []
        try:
            ended.extend(
                carried_out(
                    asked, ledger, is_again=is_again, begin=lambda part: _begin(asked, part)
                )
            )
        except KeyboardInterrupt:
            say("stopped: what was measured is kept; the same command goes on", to_error=True)
            raise
        finally:
            _tell(ended)
        if runs := ledger.runs(asked):
            page = write_leaderboard(runs, asked.output / SITE, latest=True)
            say(f"leaderboard: {page}")
    return any(outcome.state not in ("done", "known") for outcome in ended)


@contextmanager
def _terminable() -> Iterator[None]:
    """A block in which SIGTERM is Ctrl-C: a job that is cancelled leaves no run behind."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _begin(asked: Campaign, part: Part) -> None:
    say(f"=== {asked.parts.index(part) + 1} of {len(asked.parts)}: {part.name}")


def _tell(ended: list[Outcome]) -> None:
    words = {"known": "done before"}
    rows = [(o.part.model, o.part.suite, words.get(o.state, o.state), o.said) for o in ended]
    _print(_ENDED, rows)
    counts = Counter(row[2] for row in rows)
    say(", ".join(f"{count} {state}" for state, count in counts.items()) or "nothing was run")


def _print(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    width = terminal_width()
    lines = [[column.head for column in columns], *rows]
    shown = table(columns, lines, width=width, indent=0, gap=2)
    click.echo(printed([shown], width=width), nl=False)
