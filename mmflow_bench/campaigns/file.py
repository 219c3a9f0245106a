"""The file of a campaign: which checkpoints are asked what, under which options, for how long.

    checkpoints:
      - planted/base
      - model: ../tuned
        priority: 1
        hours: 2
        options: {as: llava-1.5-7b}
    suites: [core, all]
    tasks: [ChooseAttr, Query*]
    options: {limit: 64, stat: anytime}
    pytest: [-n, "2"]
    hours: 10
    output: campaign

Only `checkpoints` must be there. Relative paths are relative to the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mmflow_bench.errors import CampaignError
from mmflow_bench.files import whole_file
from mmflow_bench.names import Suite, hint
from mmflow_bench.runs.results import first_fault

_LARGEST = 2**20
"""Bytes of a file that somebody has written by hand."""
_FORM = "a campaign file in YAML, with `checkpoints:` in it"
Scalar = bool | int | float | str
Options = dict[str, Scalar | list[Scalar] | dict[str, Scalar]]
Hours = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Checkpoint(_Record):
    """What is measured, and what holds for it alone."""

    model: str = Field(min_length=1)
    priority: int = 0
    """Those of a higher one come first."""
    hours: Hours | None = None
    """That all its runs may take together."""
    tasks: tuple[str, ...] = ()
    options: Options = {}


class CampaignFile(_Record):
    """Everything that such a file may say."""

    checkpoints: tuple[Checkpoint, ...] = Field(min_length=1)
    suites: tuple[Suite, ...] = Field(default=("core",), min_length=1)
    tasks: tuple[str, ...] = ()
    options: Options = {}
    pytest: tuple[str, ...] = ()
    """Arguments of pytest itself."""
    hours: Hours | None = None
    """That the whole campaign may take."""
    output: str = Field(default="campaign", min_length=1)
    """Folder of runs, leaderboard and the record of what was done."""

    @field_validator("checkpoints", mode="before")
    @classmethod
    def _named(cls, given: object) -> object:
        """A name stands for a checkpoint about which nothing more is said."""
        if not isinstance(given, list | tuple):
            return given
        return tuple({"model": one} if isinstance(one, str) else one for one in given)


def read_file(path: Path) -> CampaignFile:
    """What a campaign file says.

    Raises:
        CampaignError: It cannot be read, or says something that no campaign does.
    """
    try:
        found = CampaignFile.model_validate(_mapping(path), strict=False)
    except ValidationError as error:
        raise CampaignError(f"{_FORM}, got {_fault(error)} ({path})") from error
    named = [one.model for one in found.checkpoints]
    if twice := next((name for name in named if named.count(name) > 1), None):
        raise CampaignError(f"every checkpoint once, got {twice!r} again ({path})")
    return found


def _mapping(path: Path) -> object:
    try:
        content = whole_file(path)
        if len(content) > _LARGEST:
            raise CampaignError(f"{_FORM}, got {len(content)} bytes ({path})")
        # Of a safe loader: it makes plain values, whatever the file asks for.
        found = yaml.load(content.decode(), Loader=_Loader)
    except OSError as error:
        raise CampaignError(f"{_FORM}, got {error.strerror} ({path})") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, TypeError, ValueError) as error:
        if isinstance(error, CampaignError):
            raise
        said = " ".join(str(error).split()) or type(error).__name__
        raise CampaignError(f"{_FORM}, got {said} ({path})") from error
    if not isinstance(found, dict):
        raise CampaignError(f"{_FORM}, got {type(found).__name__} ({path})")
    return found


def _fault(error: ValidationError) -> str:
    # A key that is spelled wrongly is missing too: what was typed says more.
    unknown = [one for one in error.errors() if one["type"] == "extra_forbidden"]
    if not unknown:
        return first_fault(error)
    fault = unknown[0]
    of: type[BaseModel] = Checkpoint if fault["loc"][0] == "checkpoints" else CampaignFile
    key = str(fault["loc"][-1])
    return f"the key {key!r}, which is none of {', '.join(of.model_fields)}" + hint(
        key, of.model_fields
    )


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, of which YAML keeps the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := next((key for i, key in enumerate(keys) if key in keys[:i]), None):
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {twice!r} twice", node.start_mark
            )
        return super().construct_mapping(node, deep)
