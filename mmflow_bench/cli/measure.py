"""`mmflow measure`: fill the store, judge nothing."""

from __future__ import annotations

from pathlib import Path

import click

from mmflow_bench.cli.counts import echo_counts
from mmflow_bench.cli.options import Asked, asking
from mmflow_bench.measurements.settings import matches
from mmflow_bench.measurements.wants import resolved
from mmflow_bench.mechanisms.declared import declared_in, shipped
from mmflow_bench.mechanisms.watching import watched
from mmflow_bench.options import Place
from mmflow_bench.plugin.measuring import Planned, asked_of_tasks


@click.command()
@click.argument("suites", nargs=-1, type=click.Path(exists=True, path_type=Path))
@asking(Place.MEASURE)
def measure(suites: tuple[Path, ...], asked: Asked) -> None:
    """Measure what the mechanisms read and keep it in the store.

    The mechanisms of SUITES, files of tests or folders of them; those that ship without any. A
    later `pytest suites/ --from-cache` with the same --model and --questions needs no GPU.
    """
    settings = asked.measurement
    chosen = [
        test
        for test in (declared_in(suites) if suites else shipped())
        if matches(test.declaration.id, settings.mechanisms)
    ]
    measurements = asked.open()
    tasks = asked_of_tasks(
        (reads, test.declaration.tier == "holds")
        for test in chosen
        if test.declaration.is_about(measurements.paper_model)
        for reads in watched(test)
    )
    width = settings.window or measurements.width
    for task in measurements.tasks:
        planned = tasks.get(task, Planned())
        measurements.ensure(task, resolved(planned.wants, width))
        if settings.twins:
            measurements.part().ensure(task, resolved(planned.second_opinions, width))
    echo_counts(measurements)
