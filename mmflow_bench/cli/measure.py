"""`mmflow measure`: fill the store, judge nothing."""

from __future__ import annotations

from typing import Any

import click

from mmflow_bench.cli.counts import echo_counts
from mmflow_bench.cli.options import WINDOW, Parsed, measuring_options, open_measurements
from mmflow_bench.measurements.settings import matches, parse_globs


@click.command()
@measuring_options
@click.option("--mechanisms", type=Parsed(parse_globs), default="", help="Globs over their ids.")
@click.option("--twins/--no-twins", default=True, help="The other methods too, on a third.")
@WINDOW
def measure(mechanisms: tuple[str, ...], twins: bool, window: int | None, **options: Any) -> None:
    """Measure what the mechanisms read and keep it in the store.

    A later `pytest suites/ --from-cache` with the same --model and --questions needs no GPU.
    """
    from mmflow_bench.interventions.knockout import SECOND_OPINIONS
    from mmflow_bench.measurements.knockout_sweep import Sweep
    from mmflow_bench.measurements.lens import Lens
    from mmflow_bench.measurements.wants import Want, resolved
    from mmflow_bench.mechanisms.catalogue import CATALOGUE

    measurements = open_measurements(options)
    for task in measurements.tasks:
        wants: list[Want[object]] = []
        again: list[Want[object]] = []
        for mechanism in CATALOGUE:
            is_read = task in mechanism.tasks or "all" in mechanism.tasks
            if is_read and matches(mechanism.id, mechanisms or ()):
                widths: tuple[int | None, ...] = (
                    (None, 1) if mechanism.widths == "both" else (None,)
                )
                wants += [Sweep.of(edge, width=w) for edge in mechanism.edges for w in widths]
                wants += [Lens(probe="answer", variant="raw")] if mechanism.lens else []
                if mechanism.has_twins:
                    again += [
                        Sweep.of(edge, method=method)
                        for edge in mechanism.edges
                        for method in SECOND_OPINIONS
                    ]
        width = window or measurements.width
        measurements.ensure(task, resolved(wants, width))
        if twins:
            measurements.part().ensure(task, resolved(again, width))
    echo_counts(measurements)
