"""The `mmflow` command; sub-commands import what they need when they run."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import click

from mmflow_bench.cli.bless import bless
from mmflow_bench.cli.build_set import build_set
from mmflow_bench.cli.compare import compare
from mmflow_bench.cli.info import info
from mmflow_bench.cli.leaderboard import leaderboard
from mmflow_bench.cli.listing import ls
from mmflow_bench.cli.measure import measure
from mmflow_bench.cli.positions import positions
from mmflow_bench.cli.report import report
from mmflow_bench.cli.run import run
from mmflow_bench.cli.tables import lens, sweep
from mmflow_bench.errors import MMFlowError
from mmflow_bench.reports.escaping import printable
from mmflow_bench.reports.signs import replace_in

USAGE_ERROR = 2


class _Group(click.Group):
    """Says a domain error in one line, without the traceback that only a bug deserves."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MMFlowError as error:
            if os.environ.get("MMFLOW_DEBUG"):
                raise
            colour = False if os.environ.get("NO_COLOR") else None
            click.secho(f"mmflow: {printable(error)}", fg="red", err=True, color=colour)
            ctx.exit(USAGE_ERROR)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            said = "a name that a file can have, got one that is too long; give a shorter one"
            raise click.UsageError(said) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mmflow-bench")
def main() -> None:
    """Test and measure how information flows inside a vision-language model.

    MMFLOW_DEBUG=1 shows the traceback of an error.
    """
    replace_in(sys.stdout)
    replace_in(sys.stderr)


for command in (
    run,
    measure,
    compare,
    bless,
    report,
    leaderboard,
    ls,
    info,
    sweep,
    lens,
    positions,
    build_set,
):
    main.add_command(command)
