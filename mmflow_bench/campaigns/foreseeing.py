"""What a campaign will cost before it is begun: a pilot of each part, and what the store has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmflow_bench.campaigns.asked import Part
from mmflow_bench.checkpoints.settings import resolve_spec
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.measurements.selection import unusable
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.mechanisms.declared import chosen_tests
from mmflow_bench.mechanisms.foreseeing import missing, paces, sizes
from mmflow_bench.mechanisms.rounds import planned_by, rounds_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """Of one part."""

    samples: int
    stored: int
    """Of those, how many the store has everything of, but for second opinions."""
    hours: float
    """Of one process on one device, for what is missing."""


def foresee(part: Part, suites: Sequence[Path]) -> Foreseen:
    """Look what is missing, and time a few samples where something is.

    Args:
        part: What is to be run.
        suites: Files or folders of the tests that are run.

    Raises:
        MMFlowError: The checkpoint, its samples or the store cannot be opened.
    """
    spec = resolve_spec(part.model, part.settings.checkpoint)
    settings = replace(part.settings.measurement, refresh=False, from_cache=False)
    # Of a store that is empty, or nothing would be timed.
    pilot = _opened(spec, replace(settings, cache=None))
    held = _opened(spec, settings) if settings.cache else pilot
    # Before it was first loaded nothing is known of a checkpoint, and nothing was measured.
    known = held if held.provenance else pilot
    tests = chosen_tests(suites, patterns=settings.mechanisms, suite=settings.suite)
    rounds = rounds_of(known, planned_by(tests, known))
    whole, rest = sizes(rounds), missing(rounds)
    seconds = 0.0
    if any(rest):
        each = paces([replace(one, measurements=pilot) for one in rounds])
        seconds = sum(pace * count for pace, count in zip(each, rest, strict=True))
    pilot.close()
    return Foreseen(samples=whole[0], stored=whole[0] - rest[0], hours=seconds / 3600)


def _opened(spec: CheckpointSpec, settings: MeasurementSettings) -> Measurements:
    opened = Measurements.open(spec, settings)
    if not opened.tasks:
        raise unusable(opened.samples)
    return opened
