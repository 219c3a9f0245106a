"""The options that several commands share, with the meaning they have in pytest."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import click

from mmflow_bench.checkpoints.settings import CheckpointSettings, resolve_spec
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.cli.parsed import Parsed
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.options import Option, Place, nested, options_of, settings_of
from mmflow_bench.reports.progress import MeasuringBar

OUTPUT = click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="FILE.parquet or FILE.csv; CSV on standard output when left out.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a command is asked to measure, and of which checkpoint."""

    checkpoint: CheckpointSettings = nested(CheckpointSettings)
    measurement: MeasurementSettings = nested(MeasurementSettings)

    @property
    def spec(self) -> CheckpointSpec:
        """The checkpoint.

        Raises:
            CheckpointError: It is not known or not there.
        """
        return resolve_spec(self.checkpoint.names[0], self.checkpoint)

    def open(self) -> Measurements:
        """The measurements, with a progress bar on a terminal.

        Raises:
            MMFlowError: The checkpoint, the questions or the store cannot be opened.
        """
        spec, bar = self.spec, MeasuringBar(sys.stderr)
        click.get_current_context().call_on_close(bar.close)
        return Measurements.open(spec, self.measurement, progress=bar)


def asking(place: Place) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command every option that says it is offered there, as an argument `asked`."""
    offered = {o.key: o for o in options_of(Asked) if place in o.places}

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def asked(**given: object) -> None:
            said = {key: given.pop(key) for key in offered}
            values = {key: _value(offered[key], value) for key, value in said.items()}
            function(asked=settings_of(Asked, lambda option: values.get(option.key)), **given)

        command: Callable[..., None] = asked
        for option in reversed(offered.values()):
            command = _click_option(option)(command)
        return command

    return decorate


def _click_option(option: Option[object]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    flag = option.command_flag or option.flag
    if option.is_flag:
        both = f"{flag}/{option.off_flag}" if option.off else flag
        return click.option(
            both, option.key, is_flag=True, default=bool(option.off), help=option.help
        )
    text = str if option.is_repeated else Parsed(lambda said: option.value_of(said, Path()))
    return click.option(
        *(flag, option.key),
        type=click.Choice(option.choices) if option.choices else option.number or text,
        default=option.unsaid,
        envvar=option.environment,
        metavar=option.metavar,
        help=option.help,
    )


def _value(option: Option[object], said: object | None) -> object | None:
    if option.is_repeated:
        # A command takes one, whole: a comma may belong to a path.
        return (said,) if said else None
    is_text = option.choices and said is not None
    return option.value_of(str(said), Path()) if is_text else said
