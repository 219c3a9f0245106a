"""A mechanism's row against the stored (golden) verdict of its checkpoint, by syrupy's rules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.location import PyTestLocation

from mmflow_bench.baselines.golden import (
    BaselineDrift,
    are_comparable,
    differences,
    entry_of,
    find_file,
    read_entries,
)
from mmflow_bench.baselines.golden_extension import FlowSnapshotExtension
from mmflow_bench.plugin.models import mechanism_of, model_of, task_of
from mmflow_bench.plugin.run import Run
from mmflow_bench.runs.keeping import conditions
from mmflow_bench.runs.rows import ALL, MechanismRow


class _Place(NamedTuple):
    """A stored verdict: file and entry as syrupy names them."""

    slug: str
    module: str
    file: str
    entry: str


def configure_extension(run: Run, items: list[pytest.Item]) -> None:
    """Tell the extension about this run, before anything is deselected."""
    extension = FlowSnapshotExtension
    # First what decides where a test's baseline is, then the places of all tests.
    extension.roots = run.baseline_roots
    extension.slugs = frozenset(run.settings.slugs)
    extension.is_updating = run.settings.update_baselines
    extension.is_partial = any("::" in argument for argument in run.config.args)
    extension.collected = {(place.file, place.entry) for place in map(_place, items) if place}


def snapshot_for(item: pytest.Item) -> SnapshotAssertion:
    option = item.config.option
    return SnapshotAssertion(
        update_snapshots=option.update_snapshots,
        update_new_snapshots_only=option.update_new_snapshots_only,
        extension_class=FlowSnapshotExtension,
        test_location=PyTestLocation(item),
        session=item.config._syrupy,  # type: ignore[attr-defined]
    )


def compared(
    item: pytest.Item, row: MechanismRow, run: Run
) -> tuple[MechanismRow, BaselineDrift | None]:
    """The row with the state of its baseline, and the drift if there is one."""
    # Only mechanisms by name have a stored verdict; and syrupy may be switched off.
    if mechanism_of(item) is None or not hasattr(item.config, "_syrupy"):
        return row, None
    settings = run.settings
    received = entry_of(row, conditions=_conditions(run, row.task))
    stored = stored_entry(item, run)
    option = item.config.option
    if stored is None and not (option.update_snapshots or option.update_new_snapshots_only):
        row = replace(row, baseline="new")
        if settings.baseline_missing != "fail":
            return row, None
        return row, BaselineDrift(
            f"a baseline of {row.model} for {row.id} on {row.task}, got none "
            "(--baseline-missing=fail); write it with --snapshot-update"
        )
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


def stored_entry(item: pytest.Item, run: Run) -> dict[str, Any] | None:
    """The baseline of a test as it is on disk, whatever its conditions."""
    place = _place(item)
    if place is None:
        return None
    found = find_file(run.baseline_roots, place.slug, place.module)
    stored = read_entries(found).get(place.entry) if found else None
    # A user's own flow_snapshot may have stored anything.
    return stored if isinstance(stored, dict) else None


def expected_verdict(item: pytest.Item, run: Run) -> str | None:
    """The verdict that a comparable baseline expects of a test."""
    stored = stored_entry(item, run)
    asked = _conditions(run, task_of(item) or ALL)
    if stored is None or stored.get("conditions") != asked:
        return None
    return str(stored.get("verdict", "")) or None


def _conditions(run: Run, task: str) -> str:
    settings = run.settings
    return conditions(settings.measurement, settings.alpha, task, stat=settings.stat)


def _place(item: pytest.Item) -> _Place | None:
    """Where syrupy will look for a test's baseline; None for a test of no checkpoint."""
    slug = model_of(item)
    if slug is None:
        return None
    location = PyTestLocation(item)
    return _Place(
        slug=slug,
        module=location.basename,
        file=FlowSnapshotExtension.get_location(test_location=location, index=0),
        entry=FlowSnapshotExtension.get_snapshot_name(test_location=location),
    )
