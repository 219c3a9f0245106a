"""What a campaign asks for: a run for each checkpoint and suite, in the order of the runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mmflow_bench.campaigns.file import CampaignFile, Checkpoint, read_file
from mmflow_bench.errors import CampaignError, MMFlowError
from mmflow_bench.names import Suite, hint, model_slugs
from mmflow_bench.options import Option, settings_of
from mmflow_bench.plugin.options import offered
from mmflow_bench.plugin.settings import Settings

_KEYS = {"model": "checkpoints", "suite": "suites", "tasks": "tasks", "output": "output"}
"""Options that have a key of their own in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one run measures: a checkpoint, asked one suite."""

    model: str
    slug: str
    suite: Suite
    settings: Settings
    arguments: tuple[str, ...]
    """Of `mmflow run`; where it leaves its run folder is not among them."""
    hours: float | None
    """That all runs of the checkpoint may take together."""

    @property
    def name(self) -> str:
        return f"{self.model}, {self.suite}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """Everything that is to be measured, in the order in which it is."""

    folder: Path
    """Where the file lies."""
    output: Path
    hours: float | None
    parts: tuple[Part, ...]


def read_campaign(path: Path) -> Campaign:
    """The campaign of a file.

    High priorities come first; of one priority every checkpoint has its first suite before any has
    its second.

    Raises:
        CampaignError: It cannot be read, or says something that no campaign does.
    """
    asked = read_file(path)
    folder = path.resolve().parent
    slugs = {
        model: slug for slug, model in model_slugs([c.model for c in asked.checkpoints]).items()
    }
    order = sorted(
        (
            (-one.priority, rank, place)
            for rank, _ in enumerate(asked.suites)
            for place, one in enumerate(asked.checkpoints)
        )
    )
    parts = []
    for _, rank, place in order:
        one = asked.checkpoints[place]
        try:
            parts.append(_part(asked, one, slugs[one.model], asked.suites[rank], folder))
        except MMFlowError as error:
            raise CampaignError(f"{error} ({path}, {one.model})") from error
    return Campaign(
        folder=folder, output=folder / asked.output, hours=asked.hours, parts=tuple(parts)
    )


def _part(asked: CampaignFile, one: Checkpoint, slug: str, suite: Suite, folder: Path) -> Part:
    options = {**asked.options, **one.options}
    _refuse_unknown(options)
    tasks = list(one.tasks or asked.tasks)
    # A mechanism that does not hold is a result.
    given: dict[str, object] = {"gate": "none", **options, "model": one.model, "suite": suite}
    given |= {"tasks": tasks} if tasks else {}
    return Part(
        model=one.model,
        slug=slug,
        suite=suite,
        settings=_settings(given, folder),
        arguments=(*_arguments(given), *asked.pytest),
        hours=one.hours,
    )


def _arguments(given: Mapping[str, object]) -> Iterator[str]:
    for option in offered():
        said = given.get(_name(option))
        if isinstance(said, bool):
            yield option.flag if said else option.off_flag
        elif said is not None:
            yield f"{option.flag}={_text(said)}"


def _refuse_unknown(options: Iterable[str]) -> None:
    known = [_name(option) for option in offered()]
    for name in options:
        if name in _KEYS:
            raise CampaignError(f"{name} under `{_KEYS[name]}:`, got it among the options")
        if name not in known:
            raise CampaignError(f"options of `mmflow run`, got {name!r}{hint(name, known)}")


def _settings(given: Mapping[str, object], folder: Path) -> Settings:
    def value(option: Option[object]) -> object | None:
        said = given.get(_name(option))
        return option.otherwise() if said is None else _value(option, said, folder)

    try:
        return settings_of(Settings, value)
    except ValueError as error:
        raise CampaignError(f"options that a run takes, got {error}") from error


def _value(option: Option[object], said: object, folder: Path) -> object:
    if option.is_flag != isinstance(said, bool):
        kind = "true or false" if option.is_flag else "a text, a number or a list"
        raise CampaignError(f"{kind} for {_name(option)}, got {said!r}")
    if option.is_flag:
        return said
    text = _text(said)
    if option.choices and text not in option.choices:
        raise CampaignError(f"{_name(option)} of {', '.join(option.choices)}, got {text!r}")
    return (text,) if option.is_repeated else option.value_of(text, folder)


def _text(said: object) -> str:
    if isinstance(said, Mapping):
        return ",".join(f"{key}={value}" for key, value in said.items())
    return ",".join(map(str, said)) if isinstance(said, list) else str(said)


def _name(option: Option[object]) -> str:
    """What it is called in the file."""
    return option.flag.removeprefix("--").removeprefix("mmflow-")
