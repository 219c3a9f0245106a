"""A mechanism's row against the baseline of its checkpoint, by syrupy's rules."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mmflow_bench.baselines.compare import (
    BaselineDrift,
    are_comparable,
    differences,
)
from mmflow_bench.baselines.entries import entry
from mmflow_bench.baselines.files import find_file, packaged_root, read_entries
from mmflow_bench.plugin.models import mechanism_of, model_of, task_of
from mmflow_bench.plugin.planning import ALL_TASKS
from mmflow_bench.plugin.run import Run, run_of
from mmflow_bench.reports.rows import MechanismRow

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

    from mmflow_bench.plugin.settings import Settings


def configure_extension(run: Run, items: list[pytest.Item]) -> None:
    """Tell the extension about this run, before anything is deselected."""
    from mmflow_bench.baselines.extension import FlowSnapshotExtension as Extension

    Extension.roots = baseline_roots(run)
    Extension.slugs = frozenset(run.settings.slugs)
    Extension.is_updating = run.settings.update_baselines
    Extension.is_partial = any("::" in argument for argument in run.config.args)
    Extension.collected = {
        (location.get("file", ""), location.get("entry", ""))
        for location in map(_location, items)
        if location
    }


def baseline_roots(run: Run) -> tuple[Path, ...]:
    """Folders that baselines are looked for in; they are written to the first."""
    own = run.settings.baselines or run.config.rootpath / "baselines"
    return (own, packaged_root())


def snapshot_for(item: pytest.Item) -> SnapshotAssertion:
    """Syrupy's assertion object for the baseline of one test."""
    from syrupy.assertion import SnapshotAssertion
    from syrupy.location import PyTestLocation

    from mmflow_bench.baselines.extension import FlowSnapshotExtension

    option = item.config.option
    return SnapshotAssertion(
        update_snapshots=option.update_snapshots,
        update_new_snapshots_only=option.update_new_snapshots_only,
        extension_class=FlowSnapshotExtension,
        test_location=PyTestLocation(item),
        session=item.config._syrupy,  # type: ignore[attr-defined]
    )


def compared(item: pytest.Item, row: MechanismRow) -> tuple[MechanismRow, BaselineDrift | None]:
    """The row with the state of its baseline, and the drift if there is one."""
    if mechanism_of(item) is None or not hasattr(item.config, "_syrupy"):
        return row, None
    settings = run_of(item.config).settings
    received, stored = entry_of(row, settings), stored_entry(item)
    option = item.config.option
    if stored is None and not (option.update_snapshots or option.update_new_snapshots_only):
        return replace(row, baseline="new"), _missing(row, settings)
    is_same = bool(snapshot_for(item) == received)
    if not is_same:
        lines = "; ".join(differences(received, stored)) if stored is not None else "not stored"
        return replace(row, baseline="drift"), BaselineDrift(
            f"{row.id} on {row.task} differs from the baseline of {row.model}: {lines}. Accept it "
            "with --snapshot-update if it is meant"
        )
    is_stored = settings.update_baselines or stored is None or are_comparable(received, stored)
    state = "same" if is_stored else "other-conditions"
    return replace(row, baseline=state), None


def entry_of(row: MechanismRow, settings: Settings) -> dict[str, Any]:
    """What is stored of a row."""
    return entry(
        mechanism=row.id,
        task=row.task,
        conditions=conditions(settings, row.task),
        verdict=row.verdict,
        estimate=row.estimate,
        low=row.low,
        high=row.high,
        unit=row.unit,
        n=row.n,
        threshold=row.threshold,
    )


def conditions(settings: Settings, task: str) -> str:
    """What must be equal before two runs of a task may be compared number by number."""
    measured = settings.measurement
    questions = "own"
    if measured.questions is not None:
        questions = f"{measured.questions.name}:{_content_hash(measured.questions)[:8]}"
    seed = "" if measured.seed is None else f" seed={measured.seed}"
    # Which tasks are selected moves nothing but the statements across tasks.
    among = f" tasks={','.join(measured.tasks)}" if task == ALL_TASKS and measured.tasks else ""
    follow = "" if measured.follow == "answer" else f" follow={measured.follow}"
    return (
        f"questions={questions} limit={measured.limit or 'all'}{seed}{among}{follow} "
        f"window={measured.window or 'auto'} alpha={settings.alpha:g}"
    )


@cache
def _content_hash(path: Path) -> str:
    from mmflow_bench.inputs.question_sets import questions_fingerprint

    return questions_fingerprint(path)


def stored_entry(item: pytest.Item) -> dict[str, Any] | None:
    """The baseline of a test as it is on disk, whatever its conditions."""
    location = _location(item)
    if location is None:
        return None
    found = find_file(baseline_roots(run_of(item.config)), location["slug"], location["module"])
    stored = read_entries(found).get(location["entry"]) if found else None
    return stored if isinstance(stored, dict) else None


def expected_verdict(item: pytest.Item, settings: Settings) -> str | None:
    """The verdict that a comparable baseline expects of a test."""
    stored = stored_entry(item)
    asked = conditions(settings, task_of(item) or ALL_TASKS)
    if stored is None or stored.get("conditions") != asked:
        return None
    return str(stored.get("verdict", "")) or None


def _missing(row: MechanismRow, settings: Settings) -> BaselineDrift | None:
    if settings.baseline_missing != "fail":
        return None
    return BaselineDrift(
        f"a baseline of {row.model} for {row.id} on {row.task}, got none "
        "(--baseline-missing=fail); write it with --snapshot-update"
    )


def _location(item: pytest.Item) -> dict[str, str] | None:
    """Where syrupy will look for a test's baseline."""
    from syrupy.location import PyTestLocation

    from mmflow_bench.baselines.extension import FlowSnapshotExtension as Extension

    slug = model_of(item)
    if slug is None:
        return None
    location = PyTestLocation(item)
    return {
        "slug": slug,
        "module": location.basename,
        "file": Extension.get_location(test_location=location, index=0),
        "entry": Extension.get_snapshot_name(test_location=location),
    }
