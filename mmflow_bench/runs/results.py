"""A run folder written: results.json, with its published JSON Schema, and the tables beside it.

Imports pydantic, so only what writes or reads a whole run folder imports this module.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator, with_config
from typing_extensions import TypedDict

from mmflow_bench.errors import StoreError
from mmflow_bench.files import replace_file
from mmflow_bench.names import Suite
from mmflow_bench.runs.folder import MECHANISMS, RESULTS, kept_back, writing
from mmflow_bench.runs.rows import (
    RESULT_FIELDS,
    VERDICTS,
    AtLeast,
    MechanismResult,
    MechanismRow,
    OneOf,
    incomplete_line,
    verdict_counts,
)
from mmflow_bench.runs.tables import merge_parts, write_table

SCHEMA_VERSION = 1
PACKAGES = ("mmflow-bench", "torch", "transformers", "numpy", "scipy", "pytest")
"""What may move a number."""
SCHEMA_FILE = Path(__file__).with_name("results.schema.json")

Verdict = Annotated[str, OneOf(VERDICTS)]
Count = Annotated[int, AtLeast(0)]
Counts = dict[str, Count]


class _Record(BaseModel):
    # What is dumped must be readable again, `as` included; a baseline of before has its field's
    # name.
    model_config = ConfigDict(
        extra="forbid", frozen=True, serialize_by_alias=True, populate_by_name=True
    )


@with_config(ConfigDict(extra="allow"))
class SettingsResult(TypedDict, total=False):
    """Settings of a run that are read again; all others are shown only, and may have any value."""

    alpha: Annotated[float, Field(gt=0, lt=0.5)] | None
    window: int | str | None
    limit: str | None
    seed: int | None
    tasks: list[str] | None
    mechanisms: list[str] | None
    suite: Suite | None
    questions: str | None
    images: str | None
    tolerance: dict[str, float] | None
    conditions: dict[str, str] | None


@with_config(ConfigDict(extra="allow"))
class ExperimentResult(TypedDict, total=False):
    """What must be equal before two runs are compared."""

    prompt: str | None
    pixels: str | None
    input: str | None
    conversation: str | None
    patches: str | None
    compat: str | None
    follow: str | None
    window: Count | None
    decoder_layers: Count | None


@with_config(ConfigDict(extra="allow"))
class EnvironmentResult(TypedDict, total=False):
    """Versions and machine."""

    packages: dict[str, str]


class CheckpointResult(_Record):
    """Which weights were looked at."""

    name: str
    source: str
    revision: str | None = None
    fingerprint: str = ""
    family: str = ""
    decoder_layers: Count | None = None
    dtype: str = ""
    attention: str = "exact"
    asked_as: str | None = Field(default=None, alias="as")
    """The paper's checkpoint whose thresholds and exceptions it was asked for; None for those that
    the paper has for any."""


_OF_CHECKPOINT = {one.alias or name for name, one in CheckpointResult.model_fields.items()}


class CheckResult(_Record):
    """One check of the instrument on the checkpoint and its samples."""

    name: str
    passed: bool
    detail: str


class BlindResult(_Record):
    """What was answered without the image (removed), and with another one (exchanged).

    Accuracies are shares of the answered samples; probabilities and saturation, a fraction, are
    means over the samples of the curves.
    """

    accuracy_removed: float
    accuracy_exchanged: float | None = None
    probability_removed: float | None = None
    probability_exchanged: float | None = None
    saturation: float | None = None
    """Mean relative change without the image: drops go no deeper for want of it."""
    n: Count
    """Samples that were asked without their image."""


class OrderResult(_Record):
    """How far the random order of a task's samples was gone through (--stat=anytime)."""

    of: Count
    """Samples of the task."""
    seen: Annotated[float, Field(gt=0, le=1)]
    """Share of its images that was looked at."""
    missing: Annotated[str, Field(pattern="^([0-9a-f]{64}|~)$")]
    """Place of the first sample that was not, the hash of seed and content; ~ where all were."""
    looks: Count
    """How many looks share an error rate, before the one at everything."""


class TaskResult(_Record):
    """How many samples of a task there were, and what became of them."""

    selected: Count
    images: Count | None = None
    """Distinct images of the selected samples."""
    correct: Count
    unscored: Counts = Field(default_factory=dict)
    edges_unscored: dict[str, Counts] = Field(default_factory=dict)
    blind: BlindResult | None = None
    """None where it was not measured."""
    order: OrderResult | None = None
    """How far its samples were compared with a baseline's; None where all were at once."""

    @model_validator(mode="after")
    def _adds_up(self) -> TaskResult:
        """Refuse more answers than there are samples: they would make an accuracy above one."""
        if self.correct + sum(self.unscored.values()) > self.selected:
            raise ValueError("more samples correct and unscored than selected")
        if self.order is not None and self.correct > self.order.of:
            raise ValueError("more samples correct than there are in the order")
        return self


class DataResult(_Record):
    """Which samples were looked at."""

    name: str
    fingerprint: str = ""
    tasks: dict[str, TaskResult] = Field(default_factory=dict)


class ErrorResult(_Record):
    """A test that ended without a verdict."""

    test: str
    message: str


class Results(_Record):
    """The content of results.json."""

    schema_version: Literal[1] = 1
    run_id: str
    created: str
    checkpoint: CheckpointResult
    data: DataResult
    experiment: ExperimentResult = Field(default_factory=ExperimentResult)
    settings: SettingsResult
    environment: EnvironmentResult
    noise_floor: float | None = None
    self_test: list[CheckResult] = Field(default_factory=list)
    mechanisms: list[MechanismResult]
    errors: list[ErrorResult] = Field(default_factory=list)
    summary: dict[Verdict, Count]
    complete: bool = True
    """Whether every test that was selected has come to its end, and every table was kept; a run
    that does not say is one of before runs said so."""
    unfinished: list[str] = Field(default_factory=list)
    """Why it is not complete."""

    @property
    def incomplete(self) -> str:
        """Why the run is not complete, in one line; empty where it is."""
        return incomplete_line(self.complete, self.unfinished)

    def as_json(self) -> str:
        return self.model_dump_json(indent=1) + "\n"


def results_of(
    rows: Sequence[MechanismRow],
    *,
    facts: Mapping[str, Any],
    run_id: str,
    created: str,
    settings: Mapping[str, Any],
    environment: Mapping[str, Any],
    errors: Sequence[Mapping[str, str]] = (),
) -> Results:
    """The results of one checkpoint, from what the run has learned of it (`facts`) and its rows.

    Raises:
        StoreError: What was measured contradicts itself, so that nobody could read it back.
    """
    checkpoint = {k: v for k, v in facts["checkpoint"].items() if k in _OF_CHECKPOINT}
    data = {"name": str(settings.get("questions") or f"samples of {checkpoint['name']}")}
    mechanisms = [{name: getattr(row, name) for name in RESULT_FIELDS} for row in rows]
    content = {
        "run_id": run_id,
        "created": created,
        "checkpoint": checkpoint,
        "data": data | dict(facts.get("data", {})) | {"tasks": facts.get("tasks", {})},
        "experiment": dict(facts.get("experiment", {})),
        "settings": dict(settings),
        "environment": dict(environment),
        "noise_floor": facts.get("noise_floor"),
        "self_test": list(facts.get("self_test", ())),
        "mechanisms": mechanisms,
        "errors": [{"test": e["test"], "message": e["message"]} for e in errors],
        "summary": verdict_counts(rows),
        "complete": not facts.get("unfinished"),
        "unfinished": list(facts.get("unfinished", ())),
    }
    try:
        return Results.model_validate(content)
    except ValidationError as error:
        raise StoreError(
            f"results that can be read back, got {first_fault(error)} (checkpoint "
            f"{checkpoint['name']}); look at the plugin that measures, if it is not this package"
        ) from error


def first_fault(error: ValidationError) -> str:
    """Where a record does not follow its schema, and how."""
    fault = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, fault["loc"])) or "the whole"
    return f"{where}: {fault['msg']}"


def environment() -> dict[str, object]:
    """Versions and machine, without importing what the versions are of."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "executable": sys.executable,
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def write_run(folder: Path, results: Results, rows: Sequence[MechanismRow]) -> None:
    """Write everything that a run leaves behind, and merge the parts of its workers.

    Where there is no room for a table, the results are kept without it, and say so.

    Raises:
        StoreError: Something could not be written.
    """
    lost: list[StoreError] = []
    with kept_back(lost), writing(folder):
        merge_parts(folder)
    with kept_back(lost), writing(folder):
        write_table(folder / MECHANISMS, MECHANISMS, [row.as_dict() for row in rows])
    if lost:
        why = [*results.unfinished, "a table of the run could not be kept"]
        results = results.model_copy(update={"complete": False, "unfinished": why})
    # Last: a folder with results is a run that has ended.
    with kept_back(lost), writing(folder):
        replace_file(folder / RESULTS, results.as_json())
    if lost:
        raise lost[0]


def schema_text() -> str:
    """The JSON Schema of results.json, as published in `results.schema.json`."""
    return json.dumps(Results.model_json_schema(), indent=1, sort_keys=True) + "\n"
