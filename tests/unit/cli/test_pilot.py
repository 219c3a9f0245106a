"""The command line of a pilot, which another project's pytest may read."""

from __future__ import annotations

from pathlib import Path

from mmflow_bench.checkpoints.settings import CheckpointSettings
from mmflow_bench.cli.options import Asked
from mmflow_bench.cli.pilot import _arguments
from mmflow_bench.measurements.settings import MeasurementSettings


def test_a_pilot_is_asked_by_names_that_no_project_has() -> None:
    asked = Asked(
        checkpoint=CheckpointSettings(models=("a b",), offline=True),
        measurement=MeasurementSettings(tasks=("Choose*",)),
    )
    given = _arguments(asked, "base", 3, 0.1, Path("runs"))
    own = [argument for argument in given if argument.startswith("--")]
    assert all(argument.startswith("--mmflow-") for argument in own)
    expected = {"model=a b", "offline", "tasks=Choose*", "no-twins", "limit=3", "baseline=base"}
    assert {f"--mmflow-{one}" for one in expected} <= set(own)
    assert {"--mmflow-gate=none", "--mmflow-cache=off", "--mmflow-output=runs"} <= set(own)
