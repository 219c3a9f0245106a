"""The options of a run: `--mmflow-NAME` in pytest's parser, `--NAME` where nobody else has it.

All plugins and conftests share the parser, and it refuses a name that is taken: whoever puts
`--model` into it ends every project whose conftest has that name too, wherever it is loaded. So the
short forms are not in it. What the user has typed is read as ours when everybody else is loaded and
has left it, which no conftest and no plugin can notice.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from mmflow_bench.options import Option, Place, options_of
from mmflow_bench.plugin.settings import Settings

TITLE = "information flow in vision-language models (mmflow-bench) [short forms]"


def add_options(parser: pytest.Parser) -> None:
    """Add an option for each choice of a run, and an ini key for each lasting one."""
    group = parser.getgroup("mmflow", TITLE)
    for option in options_of(Settings):
        if Place.PYTEST in option.places:
            _add(group, option)
        if Place.INI in option.places:
            several = "; commas between several" if option.is_repeated else ""
            parser.addini(option.key, option.help + several, default=None)


def _add(group: pytest.OptionGroup, option: Option[object]) -> None:
    (flag, long), *off = option.long_names.items()
    if option.is_flag:
        is_on = bool(option.off)
        said = _said(option.help, flag)
        group.addoption(long, action="store_true", default=is_on, dest=option.key, help=said)
        for flag_off, long_off in off:
            said = _said(option.off or "", flag_off)
            group.addoption(long_off, action="store_false", dest=option.key, help=said)
        return
    # After a space pytest takes a folder for a test path (`refuse_moved_rootdir`).
    more = "; repeatable; write it with `=`" if option.is_repeated else ""
    group.addoption(
        long,
        action="append" if option.is_repeated else "store",
        dest=option.key,
        metavar=option.metavar,
        type=option.number,
        choices=option.choices or None,
        help=_said(option.help + more, flag),
    )


def _said(text: str, flag: str) -> str:
    short = "" if flag.startswith("--mmflow-") else f" [{flag}]"
    # argparse formats the texts of its help.
    return text.replace("%", "%%") + short


def offered() -> Iterator[Option[object]]:
    """The options that pytest's command line has."""
    return (option for option in options_of(Settings) if Place.PYTEST in option.places)


def long_names() -> dict[str, str]:
    """Every option of pytest as it may be typed -> its name in the parser."""
    return {short: long for option in offered() for short, long in option.long_names.items()}


def renamed(arguments: Sequence[str], unknown: Iterable[str]) -> list[str]:
    """A command line whose short forms are written in full where nobody else knows them.

    Args:
        arguments: Of pytest; what stands after `--` is no option.
        unknown: Those that no plugin and no conftest knows, `--model=x` or `--model`.
    """
    names = long_names()
    free = {one.partition("=")[0] for one in unknown} & names.keys()
    typed = list(_read(arguments)) if free else list(arguments)
    end = typed.index("--") if "--" in typed else len(typed)
    for position, argument in enumerate(typed[:end]):
        name, equals, value = argument.partition("=")
        if name in free:
            typed[position] = f"{names[name]}{equals}{value}"
    return typed


def given_away(arguments: Iterable[str]) -> Iterator[str]:
    """What to say of options that the user has typed in our short form and another plugin has."""
    names = long_names()
    for name in dict.fromkeys(argument.partition("=")[0] for argument in arguments):
        if names.get(name, name) != name:
            yield (
                f"{name} is an option of another plugin or conftest.py here, and was given to it; "
                f"for mechanisms write {names[name]}"
            )


def _read(arguments: Iterable[str]) -> Iterator[str]:
    """The arguments with those in place of `@FILE` that stand in it, one a line."""
    for argument in arguments:
        # What is no file is pytest's to refuse.
        if argument.startswith("@") and os.path.isfile(argument[1:]):
            yield from _read(Path(argument[1:]).read_text().splitlines())
        else:
            yield argument
