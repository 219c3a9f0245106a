"""What an option is: one record, from which every way to give it follows.

A field of a settings record carries its option. pytest's options and ini keys (`plugin.options`),
the options of commands (`cli.options`), the settings themselves and what results say of them are
made of these records. So a new option is one `setting` in the record of what it decides
(`CheckpointSettings`, `MeasurementSettings`, the plugin's `Settings`), and the code that reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, Field, dataclass, field, fields, replace
from enum import Flag, auto
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Value = TypeVar("Value", covariant=True)
Default = TypeVar("Default")
Attributes = ParamSpec("Attributes")
Record = TypeVar("Record", bound="DataclassInstance")


class Place(Flag):
    """Where users meet an option: as an argument, as a key, or in what was written of a run."""

    PYTEST = auto()
    INI = auto()
    RESULTS = auto()
    MEASURE = auto()
    SWEEP = auto()
    LENS = auto()
    POSITIONS = auto()
    BUILD_SET = auto()
    PRUNE_PLAN = auto()
    TRACE = auto()
    RUN = PYTEST | INI | RESULTS
    MEASURING = PYTEST | RESULTS | MEASURE | SWEEP | LENS | PRUNE_PLAN
    """Where knockouts are measured."""
    SAMPLING = MEASURING | POSITIONS
    """Where a checkpoint sees samples."""
    LOADING = SAMPLING | BUILD_SET | TRACE
    """Where a checkpoint is loaded."""


@dataclass(frozen=True, slots=True)
class Option(Generic[Value]):
    """One option: how it is spelled, what it takes, and where it is offered."""

    help: str
    _: KW_ONLY
    flag: str = ""
    """As users of pytest write it; `--` and the name of the field when empty."""
    command_flag: str = ""
    """As commands have it, where that differs."""
    metavar: str | None = None
    parse: Callable[[str], Value] | None = None
    """The value of a text, which stands for itself when None; raises ValueError."""
    locate: Callable[[str, Path], Value] | None = None
    """The same for a text that names a place, relative to a folder."""
    number: type[int] | type[float] | None = None
    """What pytest and click convert to by themselves, and refuse in words of their own."""
    choices: tuple[str, ...] = ()
    is_flag: bool = False
    """Where the default is a bool."""
    off: str | None = None
    """Help of `--no-NAME`, for a flag that is on by itself."""
    is_repeated: bool = False
    """Given to pytest once for each value; commands take one."""
    is_empty_said: bool = False
    """Whether an empty text is a value, not the same as no option at all."""
    unsaid: Callable[[], object] | None = None
    """Gives the value where the option is offered and not given."""
    suggest: Callable[[], Iterable[str]] | None = None
    """Values that a shell may complete, of which there are others."""
    environment: str | None = None
    """Variable that is asked after the command line and before the ini file."""
    places: Place = Place.RUN
    unset: str | None = None
    """What results say where the value is None."""

    @property
    def key(self) -> str:
        """Of pytest's ini file, and where parsers keep the value: no other plugin has it."""
        name = self.flag.removeprefix("--").removeprefix("mmflow-")
        return f"mmflow_{name.replace('-', '_')}"

    @property
    def off_flag(self) -> str:
        return f"--no-{self.flag.removeprefix('--')}"

    @property
    def long_names(self) -> dict[str, str]:
        """How pytest's users may write it -> its name that no other plugin has."""
        names = {self.flag: f"--{self.key.replace('_', '-')}"}
        if self.off:
            names[self.off_flag] = f"--mmflow-{self.off_flag.removeprefix('--')}"
        return names

    def is_said(self, text: str) -> bool:
        """Whether a text counts: an empty one is none at all, unless it is a value."""
        return bool(text) or self.is_empty_said

    def otherwise(self) -> object | None:
        """The value where nothing is said."""
        return self.unsaid() if self.unsaid else None

    def value_of(self, text: str, folder: Path) -> object:
        """What a text means.

        Raises:
            ValueError: It means nothing.
        """
        if self.locate is not None:
            return self.locate(text, folder)
        if self.parse is None:
            return self.number(text) if self.number is not None else text
        return self.parse(text)


_MOST_DIGITS = 9
_OPTION, _RECORD = "option", "record"


def _declaring(
    option: Callable[Attributes, Option[Default]],
) -> Callable[Concatenate[Default, Attributes], Default]:
    def declare(
        default: Default, /, *args: Attributes.args, **kwargs: Attributes.kwargs
    ) -> Default:
        about = {_OPTION: replace(option(*args, **kwargs), is_flag=isinstance(default, bool))}
        # Dataclasses refuse mappings as defaults; none of ours is ever written to.
        if isinstance(default, Mapping):
            return field(default_factory=lambda: default, metadata=about)
        return field(default=default, metadata=about)

    return declare


# What `Option` takes is written down once, and type checkers see that a parser fits its field.
setting = _declaring(Option)
"""A field of a settings record that an option sets: its default, then the option."""


def nested(record: type[Record]) -> Record:
    """A field of a settings record that is such a record itself."""
    return field(default_factory=record, metadata={_RECORD: record})


def options_of(record: type[DataclassInstance]) -> Iterator[Option[object]]:
    for item in fields(record):
        if inner := item.metadata.get(_RECORD):
            yield from options_of(inner)
        elif option := _option(item):
            yield option


def settings_of(
    record: type[Record], value_of: Callable[[Option[object]], object | None]
) -> Record:
    """The settings that a user has chosen.

    Args:
        record: What to make.
        value_of: The value of an option; None leaves the record's default.
    """
    # Only here are values without a type: `setting` has checked that parsers fit their fields.
    values: dict[str, Any] = {}
    for item in fields(record):
        if inner := item.metadata.get(_RECORD):
            values[item.name] = settings_of(inner, value_of)
        elif (option := _option(item)) and (value := value_of(option)) is not None:
            values[item.name] = value
    return record(**values)


def described(record: DataclassInstance) -> dict[str, object]:
    """Settings as JSON values, by the names of their fields."""
    said: dict[str, object] = {}
    for item in fields(record):
        value, option = getattr(record, item.name), _option(item)
        if _RECORD in item.metadata:
            said |= described(value)
        elif option is not None and Place.RESULTS in option.places:
            said[item.name] = option.unset if value is None else _as_json(value)
    return said


def arguments_of(record: DataclassInstance) -> Iterator[str]:
    """The command line of pytest that gives these settings, `--model=a` say; defaults are silent.

    What a text cannot stand for (no cache at all) is left to the caller.
    """
    usual = type(record)()
    for item in fields(record):
        value, option = getattr(record, item.name), _option(item)
        if _RECORD in item.metadata:
            yield from arguments_of(value)
        elif option is None or value is None or value == getattr(usual, item.name):
            continue
        elif option.is_flag:
            yield option.flag if value else option.off_flag
        elif option.is_repeated:
            yield from (f"{option.flag}={one}" for one in value)
        elif isinstance(value, Mapping):
            yield f"{option.flag}={','.join(f'{k}={v}' for k, v in value.items())}"
        else:
            yield f"{option.flag}={','.join(value) if isinstance(value, tuple) else value}"


def comma_separated(text: str) -> tuple[str, ...]:
    """The parts of a list.

    >>> comma_separated("Choose*, QueryAttr"), comma_separated("")
    (('Choose*', 'QueryAttr'), ())
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())


def whole_number(option: str, text: str, *, least: int) -> int:
    """The whole number that an option takes, from `least` on.

    >>> whole_number("--seed", "7", least=0)
    7

    Raises:
        ValueError: The text is none, or one that no table could hold.
    """
    is_whole = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    if not is_whole or int(text) < least:
        raise ValueError(f"{option} takes a whole number from {least} on, got {text[:80]!r}")
    return int(text)


def listed(option: str, text: str, of: str) -> tuple[str, ...]:
    """The parts of a list that was given; one of commas alone holds what nobody meant.

    Raises:
        ValueError: There is no part.
    """
    parts = comma_separated(text)
    if not parts:
        raise ValueError(f"{option} takes {of}, commas between them, got {text!r}")
    return parts


def _option(item: Field[Any]) -> Option[object] | None:
    option: Option[object] | None = item.metadata.get(_OPTION)
    if option is None or option.flag:
        return option
    return replace(option, flag=f"--{item.name.replace('_', '-')}")


def _as_json(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value
