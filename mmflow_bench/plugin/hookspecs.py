"""Hooks that a conftest or another plugin may implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mmflow_bench.checkpoints.spec import CheckpointSpec
    from mmflow_bench.measurements.session import Measurements
    from mmflow_bench.plugin.settings import Settings


@pytest.hookspec(firstresult=True)
def pytest_mmflow_open_measurements(
    spec: CheckpointSpec, settings: Settings
) -> Measurements | None:
    """The measurements of a checkpoint, instead of the plugin's own `Measurements.open`.

    For checkpoints that are measured elsewhere, and for tests of one's own mechanisms::

        def pytest_mmflow_open_measurements(spec, settings):
            if spec.name == "from-the-cluster":
                return MyMeasurements(spec, folder="/data/sweeps")

    They need not derive from `Measurements`, but have what a run reads of it: all that mechanisms
    ask (`mmflow_bench.mechanisms.measured.Measured`), with `minimum_accuracy` for `ensure`; `spec`,
    `name`, `fingerprint`, `provenance`, `follow`, `self_test`, `messages` and of `samples` its
    `fingerprint` and `unreadable`, for results.json; `answered` and `described`, which may be empty
    lists, for the tables of samples; and `close`.
    """
