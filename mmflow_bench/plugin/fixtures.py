"""The fixtures: `flow` for tests of mechanisms, and what it stands on.

pytest must know them before it collects, so they are light and leave the work to the session.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from mmflow_bench.plugin.loading import session_of

if TYPE_CHECKING:
    from syrupy.assertion import SnapshotAssertion

    from mmflow_bench.mechanisms.flow import Flow
    from mmflow_bench.plugin.measuring import PlannedMeasurements


@pytest.fixture(scope="session")
def mmflow_measurements(request: pytest.FixtureRequest) -> Iterator[PlannedMeasurements]:
    """What the checkpoint of this test does on its samples; one per checkpoint and process."""
    yield from session_of(request.config).measurements(request.param)


@pytest.fixture
def flow(
    request: pytest.FixtureRequest, mmflow_measurements: PlannedMeasurements
) -> Iterator[Flow]:
    """The information flow of the checkpoint: `flow("question -> last", "ChooseAttr")`.

    Comparing what it returns is a three-way question: an assertion on it passes, fails, or ends as
    `inconclusive` when the interval straddles the threshold.
    """
    yield from session_of(request.config).flow(request.node, mmflow_measurements)


@pytest.fixture
def flow_snapshot(request: pytest.FixtureRequest) -> SnapshotAssertion:
    """Compares a value with the baseline of the checkpoint: `assert flow_snapshot == value`.

    Floats are compared with the tolerance that is stored beside them.
    """
    return session_of(request.config).snapshot(request.node)
