"""Whatever is typed after an option is a value in its range or a usage error, and nothing else.

Derived from the records of options and from the commands themselves, so that a new one is covered.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmflow_bench.cli.main import COMMANDS, imported
from mmflow_bench.options import Option, options_of
from mmflow_bench.plugin.settings import Settings

NUMBERS = (
    "nan inf -inf NaN% 0 -0 -1 1 2 99 0.5 1e308 1e400 -1e-9 1e-300 0x10 1_000 3.0 +3 1- - 5-2 0-0"
)
WORDS = (
    ", ,, = a= =a auto AUTO off gpu CPU cuda cuda:99999 hub hub: gqa [ * ** ? / . ~ ~nobody/x "
    "dtype=a,dtype=b effect=nan effect=0.1, fraction=0.1 html,html html,x \x1b[31m planted/mini "
    "::set-output ../.. -n -- None True {} []"
)
ODD = ("", " ", ", ,", " 3", "9" * 5000, "x" * 5000, "\udcff", "\u0663", "\u00b2", "\uff15")
# What a system hands over has no zero byte; a byte that is no UTF-8 comes as half a surrogate.
SIGNS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
TEXTS = st.sampled_from([*NUMBERS.split(), *WORDS.split(), *ODD]) | st.text(SIGNS, max_size=12)
FEW = settings(max_examples=40, derandomize=True, deadline=None, database=None)
OPTIONS = {option.flag: option for option in options_of(Settings) if not option.is_flag}


def parameters() -> Iterator[tuple[str, click.Parameter]]:
    for name in COMMANDS:
        command = imported(name)
        commands = command.commands.values() if isinstance(command, click.Group) else [command]
        for one in commands:
            for parameter in one.params:
                is_shared = str(parameter.name).startswith("mmflow_")
                if parameter.name != "arguments":
                    yield f"{'' if is_shared else one.name} {parameter.name}", parameter


# An option of several commands is looked at in one of them.
PARAMETERS = dict(parameters())


def refuse_no_value(value: object) -> None:
    """What a parser gives is something that every later step can do with."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        assert math.isfinite(value)
        assert 0 <= value < 2**53
    if isinstance(value, Mapping):
        assert value
        for inner in value.values():
            refuse_no_value(inner)
    if isinstance(value, tuple):
        assert value
        assert all(isinstance(one, str) and one == one.strip() for one in value)


@pytest.mark.parametrize("flag", OPTIONS)
def test_an_option_of_pytest_takes_a_value_or_refuses_it(flag: str) -> None:
    option: Option[object] = OPTIONS[flag]

    @FEW
    @given(TEXTS)
    def typed(text: str) -> None:
        if not option.is_said(text) or (option.choices and text not in option.choices):
            return
        with suppress(ValueError):
            refuse_no_value(option.value_of(text, Path()))

    typed()


@pytest.mark.parametrize("name", PARAMETERS)
def test_an_option_of_a_command_takes_a_value_or_refuses_it(name: str) -> None:
    parameter, context = PARAMETERS[name], click.Context(click.Command("x"))

    @FEW
    @given(TEXTS)
    def typed(text: str) -> None:
        with suppress(click.UsageError):
            refuse_no_value(parameter.type.convert(text, parameter, context))

    typed()


REFUSED = {
    "--mmflow-device": {"gpu": "did you mean cuda?", "CPU": "did you mean cpu?", "cpu:0": "cpu"},
    "--alpha": {"nan": "(0, 0.5)", "0": "", "1": "", "-1": "", "inf": ""},
    "--shard": {"": "I/N", "0/2": "", "3/2": "", "2": "", "auto": "got none of them"},
    "--seed": {"-1": "a whole number from 0 on", "9" * 5000: "", "1.5": ""},
    "--window": {"0": "odd number", "9" * 30: "", "\u00b2": ""},
    "--batch-size": {"0": "positive", "9" * 5000: "", "\u0663": ""},
    "--limit": {"0": "", "-5": "", "5:2": "", "x": "", "nan": "", "9" * 5000: ""},
    "--tasks": {"": "names or patterns", ",": "", " ": ""},
    "--mechanisms": {"": "names or patterns", ",,": ""},
    "--model-args": {",": "key=value", "dtype=a,dtype=b": "once", "dtype": ""},
    "--report": {",": "html, md", "x": ""},
    "--tolerance": {",": "", "nan": "", "1e-300": "at least", "effect=": ""},
    "--decided": {"nan": "", "-1": "", "inf": ""},
}


@pytest.mark.parametrize(
    ("flag", "text", "says"),
    [(flag, text, says) for flag, cases in REFUSED.items() for text, says in cases.items()],
)
def test_a_value_out_of_range_is_refused_in_words(flag: str, text: str, says: str) -> None:
    option = OPTIONS[flag]
    assert option.is_said(text)
    with pytest.raises(ValueError, match=re.escape(says or f"{flag} takes")) as refused:
        option.value_of(text, Path())
    # In the project's own words, not in those of Python's converters.
    assert "set_int_max_str_digits" not in str(refused.value)


def test_an_empty_text_is_no_option_unless_it_would_select_everything() -> None:
    said = {flag for flag, option in OPTIONS.items() if option.is_said("")}
    assert said == {"--baseline", "--tasks", "--mechanisms", "--mmflow-cache", "--shard"}


def test_an_empty_folder_of_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="which is empty"):
        OPTIONS["--images"].value_of(".", tmp_path)
