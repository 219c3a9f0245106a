"""The `mmflow` command; a sub-command is imported, with all that it needs, when it is called."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import NoReturn

import click
from click.shell_completion import BashComplete, add_completion_class

from mmflow_bench.errors import MMFlowError
from mmflow_bench.reports.escaping import printable, replace_in
from mmflow_bench.reports.warned import Warned

USAGE_ERROR = 2
COMMANDS = {
    "run": "Run the suites; every argument goes to pytest.",
    "measure": "Measure what the mechanisms read and keep it in the store.",
    "compare": "Compare RUN with BASE, mechanism by mechanism.",
    "power": "How many images the gate needs, from a pilot, or what change RUN could have seen.",
    "bless": "Write baselines/NAME from a run folder: verdicts as JSON, values of samples as "
    "Parquet.",
    "report": "Print the verdicts of runs again, and their comparisons with a baseline if there "
    "were any.",
    "leaderboard": "Checkpoints against mechanisms, from run folders, as pages that need no "
    "server.",
    "campaign": "Run suites on many checkpoints as FILE says, and make a leaderboard of the runs.",
    "ls": "List models, tasks, mechanisms, runs or baselines.",
    "info": "Show versions, device and store.",
    "doctor": "Look whether a run can work here, and what it will cost.",
    "sweep": "One row per sample, edge and window centre.",
    "lens": "One row per sample, layer, probe and variant; layer 0 is the embedding.",
    "positions": "One JSON line per sample: its prompt, token ids, and the positions of every "
    "role.",
    "prune-plan": "From which layer on image tokens can go, chosen on some images and tried on "
    "others.",
    "trace": "Where in checkpoint and photo the answer to one question comes from.",
    "build-set": "Make a question set of GQA's questions and scene graphs.",
}
"""Name -> what `mmflow --help` says, which must not wait for any command's imports."""
_HOME = {
    "ls": "listing",
    **dict.fromkeys(("sweep", "lens", "positions"), "rows"),
    **dict.fromkeys(("bless", "compare"), "baselines"),
    "leaderboard": "report",
}
"""Modules that are not named after their command."""


@add_completion_class
class Bash(BashComplete):
    """Completes `--model=planted/b` too: bash takes the sign for a word of its own."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """What stands before the cursor, and what is yet to be completed."""
        words, incomplete = super().get_completion_args()
        return [word for word in words if word != "="], incomplete.removeprefix("=")


class LazyGroup(click.Group):
    """Knows its commands by name, and says an error of the domain in one line.

    Only a bug deserves a traceback.
    """

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command itself, where its name and a line of help stood in for it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, imported(name) if name in COMMANDS else command, rest

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments that are left; what is wrong with the others is said harmlessly."""
        with _printable():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; what the domain or the system refuses is one line and an exit status."""
        try:
            with _printable():
                return _invoked(super().invoke, ctx)
        except MMFlowError as error:
            _refuse(ctx, error, error)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                said = "a name that a file can have, got one that is too long; give a shorter one"
                raise click.UsageError(said) from error
            # Whoever reads no further has seen enough; click ends without a word then.
            if error.errno == errno.EPIPE:
                raise
            place = f" ({error.filename})" if error.filename else ""
            said = f"files and an output that can be read and written, got {error.strerror}{place}"
            _refuse(ctx, said, error)


@contextmanager
def _printable() -> Iterator[None]:
    """What click says of an option has in it what the user has typed, or a script for them."""
    try:
        yield
    except click.UsageError as error:
        raise click.UsageError(printable(error.format_message()), ctx=error.ctx) from error


def _invoked(invoke: Callable[[click.Context], object], ctx: click.Context) -> object:
    try:
        return invoke(ctx)
    finally:
        # Here, where a full disk can still be said.
        sys.stdout.flush()


def _refuse(ctx: click.Context, said: object, error: Exception) -> NoReturn:
    """End with one line; with the traceback where somebody looks for a bug."""
    if os.environ.get("MMFLOW_DEBUG"):
        raise error
    click.secho(f"mmflow: {printable(said)}", fg="red", err=True, color=_colour())
    ctx.exit(USAGE_ERROR)


def imported(name: str) -> click.Command:
    attribute = name.replace("-", "_")
    module = import_module(f"mmflow_bench.cli.{_HOME.get(name, attribute)}")
    command: click.Command = getattr(module, attribute)
    return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mmflow-bench")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Test and measure how information flows inside a vision-language model.

    MMFLOW_DEBUG=1 shows the traceback of an error.
    """
    replace_in(sys.stdout)
    replace_in(sys.stderr)
    ctx.call_on_close(Warned.hear(_warn).close)


def _warn(line: str) -> None:
    click.secho(f"mmflow: {printable(line)}", fg="yellow", err=True, color=_colour())


def _colour() -> bool | None:
    return False if os.environ.get("NO_COLOR") else None


for name, summary in COMMANDS.items():
    main.add_command(click.Command(name, help=summary))
