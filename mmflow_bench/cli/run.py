"""`mmflow run`: pytest on the suites, wherever they are installed."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import click

from mmflow_bench.cli.options import parameters
from mmflow_bench.mechanisms.declared import FILES, shipped_suites
from mmflow_bench.options import Option

INTERRUPTED = 2
"""pytest's exit code for Ctrl-C, which reaches both processes."""


class Suites(click.Command):
    """To a shell that completes, it has the options that it hands to pytest."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Those of its own; where nothing is run, pytest's too."""
        own = super().get_params(ctx)
        if not ctx.resilient_parsing:
            return own
        from mmflow_bench.plugin.options import offered

        return [*parameters(offered()), *own]


@click.command(
    cls=Suites,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def run(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Run the suites; every argument goes to pytest.

    `mmflow run --model=my-checkpoint -n 2` is `pytest suites/ --model=my-checkpoint -n 2`, also
    where the package is installed and there is no suites/ folder. Options of pytest itself are in
    `pytest --help`; there each of the following is called `--mmflow-NAME`.
    """
    if not {"-h", "--help"}.isdisjoint(arguments):
        click.echo(told(ctx))
        return
    from mmflow_bench.plugin.options import renamed

    given = pytest_arguments(arguments, Path.cwd())
    # A process of its own: pytest rewrites the assertions of modules that are not yet imported.
    # In full, so that what is typed here is ours, whoever else has an option of that name.
    command = [sys.executable, "-m", "pytest", *renamed(given, given)]
    if os.name == "posix":
        # In this one's place: whoever ends `mmflow run` ends the tests, not only their parent.
        sys.stdout.flush()
        os.execv(sys.executable, command)
    try:
        ctx.exit(subprocess.run(command, check=False).returncode)
    except KeyboardInterrupt:
        ctx.exit(INTERRUPTED)


def told(ctx: click.Context) -> str:
    """The help of this command, with the options of mechanisms that it hands to pytest."""
    from mmflow_bench.plugin.options import offered

    formatter = ctx.make_formatter()
    ctx.command.format_usage(ctx, formatter)
    ctx.command.format_help_text(ctx, formatter)
    with formatter.section("Options"):
        formatter.write_dl(list(map(_line, offered())))
    return formatter.getvalue().rstrip()


def _line(option: Option[object]) -> tuple[str, str]:
    if option.is_flag:
        return " / ".join(option.long_names), option.help
    return f"{option.flag}={option.metavar or '|'.join(option.choices)}", option.help


def pytest_arguments(arguments: Sequence[str], folder: Path) -> list[str]:
    """What pytest is given for what a user has typed after `mmflow run` in a folder."""
    joined = joined_values(arguments)
    if any(_is_test_path(argument, folder) for argument in joined):
        return joined
    suites = suites_folder(folder)
    if suites.parent == folder:
        return [str(suites.relative_to(folder)), *joined]
    # The tests lie elsewhere: without these, pytest would look for settings beside them.
    settings = ini_file(folder)
    given = [f"--rootdir={folder}", f"--config-file={settings or os.devnull}"]
    return [str(suites), *given, "--import-mode=importlib", *joined]


def joined_values(arguments: Sequence[str]) -> list[str]:
    """Arguments with `--model X` written `--model=X`.

    >>> joined_values(["--model", "a/b", "-x", "--limit=3"])
    ['--model=a/b', '-x', '--limit=3']
    """
    joined: list[str] = []
    for argument in arguments:
        is_after_option = bool(joined) and joined[-1].startswith("--") and "=" not in joined[-1]
        is_value = is_after_option and not argument.startswith("--")
        if is_value and joined[-1] in valued_options():
            joined[-1] = f"{joined[-1]}={argument}"
        else:
            joined.append(argument)
    return joined


@cache
def valued_options() -> frozenset[str]:
    """Options that take one value, as pytest's parser knows them and this plugin reads them.

    pytest looks for test paths before it has loaded plugins: a value after a space would be one.
    """
    # pytest takes half a second; most commands have `=` in all their options.
    from _pytest.config import get_config

    from mmflow_bench.plugin.options import add_options, long_names

    parser = get_config()._parser
    add_options(parser)
    # In argparse, flags have a number of arguments, which is 0, and `nargs="?"` is optional.
    actions = (action for action in parser.optparser._actions if action.nargs is None)
    names = frozenset(name for action in actions for name in action.option_strings)
    return names | {short for short, long in long_names().items() if long in names}


def suites_folder(folder: Path) -> Path:
    """The suites of the folder one stands in, or those that ship with the package.

    Raises:
        MechanismError: There are neither.
    """
    here = folder / "suites"
    return here if any(here.glob(FILES)) else shipped_suites()


def ini_file(folder: Path) -> Path | None:
    """The file in `folder` that pytest would read its settings from."""
    pyproject = folder / "pyproject.toml"
    if (folder / "pytest.ini").is_file():
        return folder / "pytest.ini"
    if pyproject.is_file() and "pytest" in tomllib.loads(pyproject.read_text()).get("tool", {}):
        return pyproject
    return None


def _is_test_path(argument: str, folder: Path) -> bool:
    path = argument.split("::")[0]
    return not argument.startswith("-") and bool(path) and (folder / path).exists()
