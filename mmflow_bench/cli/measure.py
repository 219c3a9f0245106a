"""What a later run needs, measured ahead: `mmflow measure`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmflow_bench.cli.options import ALPHA, Asked, asking, bar_of_command, echo_counts
from mmflow_bench.cli.saying import say
from mmflow_bench.engines.measuring import Engine, Stopped, engine_of
from mmflow_bench.measurements.sharding import Slice
from mmflow_bench.mechanisms.declared import DeclaredTest, chosen_tests
from mmflow_bench.mechanisms.looking import said_of
from mmflow_bench.mechanisms.rounds import Round, decided, planned_by, rounds_of, slice_of
from mmflow_bench.options import Place
from mmflow_bench.plugin.processes import choose_accelerator
from mmflow_bench.reports.progress import MeasuringBar, stopped

if TYPE_CHECKING:
    from mmflow_bench.measurements.session import Measurements


@click.command()
@click.argument("suites", nargs=-1, type=click.Path(exists=True, path_type=Path))
@asking(Place.MEASURE)
@click.option(
    "--stat",
    type=click.Choice(("bootstrap", "anytime")),
    default="bootstrap",
    show_default=True,
    help="All samples; or, in a random order, as many as a run with --stat=anytime looks at.",
)
@ALPHA
def measure(suites: tuple[Path, ...], asked: Asked, stat: str, alpha: float) -> None:
    """Measure what the mechanisms read and keep it in the store.

    The mechanisms of SUITES, files of tests or folders of them; those that ship without any. A
    later `pytest suites/ --from-cache` with the same --model and --questions needs no GPU.
    """
    settings = asked.measurement
    if stat == "anytime" and settings.shard:
        raise click.UsageError(
            "--stat=anytime takes all samples, got a part of them "
            f"(--shard={settings.shard}); leave one of them out: --engine=ray divides the work too"
        )
    chosen = chosen_tests(suites, patterns=settings.mechanisms, suite=settings.suite)
    if settings.shard:
        # Ranks of one machine share its accelerators; must come before one is looked for.
        choose_accelerator(os.environ.get("LOCAL_RANK"), asked.checkpoint.device)
    bar = bar_of_command()
    measurements = asked.open(bar)
    try:
        with engine_of(asked.checkpoint, settings, measurements, progress=bar) as engine:
            if "decoder_layers" not in measurements.provenance:
                engine.load()
            if stat == "anytime":
                measured = _until_decided(chosen, measurements, engine, alpha=alpha, bar=bar)
            else:
                measured = _all_of(chosen, measurements, engine)
    except Stopped as stop:
        say(stopped(settings.cache), to_error=True)
        click.get_current_context().exit(stop.exit_code)
    bar.close()
    echo_counts(measured)


def _until_decided(
    chosen: Iterable[DeclaredTest],
    measurements: Measurements,
    engine: Engine,
    *,
    alpha: float,
    bar: MeasuringBar,
) -> Measurements:
    """Measure what some tests need to be decided; what was looked at in the end."""
    looking = decided(
        chosen, measurements, alpha=alpha, measure=engine.measure, bar=bar, tell=bar.say
    )
    bar.close()
    say(said_of(looking), to_error=True)
    return looking.closing().opened


def _all_of(
    chosen: Iterable[DeclaredTest], measurements: Measurements, engine: Engine
) -> Measurements:
    """Measure what some tests read of all samples, or of a shard; what was looked at."""
    rounds = _rounds(chosen, measurements)
    for one in rounds:
        engine.measure(one)
    return rounds[0].measurements


def _rounds(chosen: Iterable[DeclaredTest], measurements: Measurements) -> list[Round]:
    """What is measured here, which may be a shard of what is asked."""
    settings = measurements.settings
    rounds = rounds_of(measurements, planned_by(chosen, measurements))
    if settings.shard:
        rounds = slice_of(rounds, Slice.parse(settings.shard, {}))
        own, every = _images_in(rounds[0].measurements), _images_in(measurements)
        say(f"shard {settings.shard}: {own} of {every} images", to_error=True)
    return rounds


def _images_in(measurements: Measurements) -> int:
    """How many images are asked about, in whatever task."""
    samples = measurements.samples
    return len({one.image_id for task in samples.tasks for one in samples.of(task)})
