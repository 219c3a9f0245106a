"""The options that the plugin adds to pytest; every `dest` starts with `mmflow_`."""

from __future__ import annotations

import pytest

from mmflow_bench.options import Option, Place, options_of
from mmflow_bench.plugin.settings import Settings


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add an option for each choice of a run, and an ini key for each lasting one."""
    group = parser.getgroup("mmflow", "information flow in vision-language models (mmflow-bench)")
    for option in options_of(Settings):
        if Place.PYTEST in option.places:
            _add(group, option)
        if Place.INI in option.places:
            several = "; commas between several" if option.is_repeated else ""
            parser.addini(option.key, option.help + several, default=None)


def _add(group: pytest.OptionGroup, option: Option[object]) -> None:
    # argparse formats the texts of its help.
    said = option.help.replace("%", "%%")
    if not option.is_flag:
        # After a space pytest takes a folder for a test path (`models.refuse_moved_rootdir`).
        said += "; repeatable; write it with `=`" if option.is_repeated else ""
        group.addoption(
            option.flag,
            action="append" if option.is_repeated else "store",
            dest=option.key,
            metavar=option.metavar,
            type=option.number,
            choices=option.choices or None,
            help=said,
        )
        return
    group.addoption(
        option.flag, action="store_true", default=bool(option.off), dest=option.key, help=said
    )
    if option.off:
        group.addoption(option.off_flag, action="store_false", dest=option.key, help=option.off)
