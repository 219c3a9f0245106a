"""`mmflow measure`: fill the store, judge nothing."""

from __future__ import annotations

import click

from mmflow_bench.cli.counts import echo_counts
from mmflow_bench.cli.options import Asked, asking
from mmflow_bench.interventions.knockout import TWINS
from mmflow_bench.measurements.needs import Need
from mmflow_bench.measurements.settings import matches
from mmflow_bench.mechanisms.catalogue import CATALOGUE
from mmflow_bench.options import Place


@click.command()
@asking(Place.MEASURE)
def measure(asked: Asked) -> None:
    """Measure what the mechanisms read and keep it in the store.

    A later `pytest suites/ --from-cache` with the same --model and --questions needs no GPU.
    """
    measurements = asked.open()
    for task in measurements.tasks:
        need = Need()
        for mechanism in CATALOGUE:
            is_read = task in mechanism.tasks or "all" in mechanism.tasks
            if is_read and matches(mechanism.id, asked.measurement.mechanisms):
                need.add(mechanism)
        width = asked.measurement.window or measurements.width
        measurements.ensure(task, **need.arguments(width))
        if asked.measurement.twins:
            part = measurements.part()
            part.ensure(task, edges=sorted(need.twins), widths=[width], methods=TWINS)
    echo_counts(measurements)
