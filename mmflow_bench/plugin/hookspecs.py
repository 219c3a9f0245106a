"""Hooks that a conftest or another plugin may implement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mmflow_bench.checkpoints.spec import CheckpointSpec
    from mmflow_bench.plugin.settings import Settings


@pytest.hookspec(firstresult=True)
def pytest_mmflow_open_measurements(spec: CheckpointSpec, settings: Settings) -> Any:
    """The measurements of a checkpoint, instead of the plugin's own `Measurements.open`.

    For checkpoints that are measured elsewhere, and for tests of one's own mechanisms::

        def pytest_mmflow_open_measurements(spec, settings):
            if spec.name == "from-the-cluster":
                return MyMeasurements(spec, folder="/data/sweeps")
    """
