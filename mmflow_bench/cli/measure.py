"""`mmflow measure`: fill the store, judge nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mmflow_bench.cli.counts import echo_counts
from mmflow_bench.cli.options import WINDOW, Parsed, measuring_options, open_measurements
from mmflow_bench.measurements.settings import matches, parse_globs
from mmflow_bench.mechanisms.declared import declared_in, shipped


@click.command()
@click.argument("suites", nargs=-1, type=click.Path(exists=True, path_type=Path))
@measuring_options
@click.option("--mechanisms", type=Parsed(parse_globs), default="", help="Globs over their ids.")
@click.option("--twins/--no-twins", default=True, help="The other methods too, on a third.")
@WINDOW
def measure(
    suites: tuple[Path, ...],
    mechanisms: tuple[str, ...],
    twins: bool,
    window: int | None,
    **options: Any,
) -> None:
    """Measure what the mechanisms read and keep it in the store.

    The mechanisms of SUITES, files of tests or folders of them; those that ship without any. A
    later `pytest suites/ --from-cache` with the same --model and --questions needs no GPU.
    """
    from mmflow_bench.measurements.wants import resolved
    from mmflow_bench.mechanisms.watching import watched
    from mmflow_bench.plugin.plan import Planned, asked_of_tasks

    chosen = [
        test
        for test in (declared_in(suites) if suites else shipped())
        if matches(test.declaration.id, mechanisms or ())
    ]
    measurements = open_measurements(options)
    asked = asked_of_tasks(
        (reads, test.declaration.tier == "holds")
        for test in chosen
        if test.declaration.is_about(measurements.paper_model)
        for reads in watched(test)
    )
    width = window or measurements.width
    for task in measurements.tasks:
        planned = asked.get(task, Planned())
        measurements.ensure(task, resolved(planned.wants, width))
        if twins:
            measurements.part().ensure(task, resolved(planned.second_opinions, width))
    echo_counts(measurements)
