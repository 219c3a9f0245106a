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
    from mmflow_bench.interventions.knockout import TWINS
    from mmflow_bench.measurements.needs import Need
    from mmflow_bench.mechanisms.catalogue import CATALOGUE

    measurements = open_measurements(options)
    for task in measurements.tasks:
        need = Need()
        for mechanism in CATALOGUE:
            is_read = task in mechanism.tasks or "all" in mechanism.tasks
            if is_read and matches(mechanism.id, mechanisms or ()):
                need.add(mechanism)
        width = window or measurements.width
        measurements.ensure(task, **need.arguments(width))
        if twins:
            part = measurements.part()
            part.ensure(task, edges=sorted(need.twins), widths=[width], methods=TWINS)
    echo_counts(measurements)
