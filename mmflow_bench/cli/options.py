"""What commands that measure share: options with the meaning they have in pytest, and counts."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from mmflow_bench.baselines.tolerances import DEFAULT_ALPHA, parse_alpha
from mmflow_bench.checkpoints.settings import CheckpointSettings, resolve_spec
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.cli.saying import say
from mmflow_bench.errors import StoreError
from mmflow_bench.files import is_special, refusing, try_writing_file
from mmflow_bench.measurements.records import Followed
from mmflow_bench.measurements.selection import SHOWN_MESSAGES, in_words, unusable
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.options import Option, Place, nested, options_of, settings_of
from mmflow_bench.reports.mistakes import mistakes
from mmflow_bench.reports.progress import MeasuringBar, stopped

ALLOW_INCOMPLETE = click.option(
    "--allow-incomplete", is_flag=True, help="Also a run that has ended early."
)
Decorator = Callable[[Callable[..., None]], Callable[..., None]]


class Parsed(click.ParamType):  # type: ignore[type-arg]
    """A type of click's for values whose own parser says what is wrong with them."""

    name = "text"

    def __init__(self, parse: Callable[[str], object]) -> None:
        self._parse = parse

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


ALPHA = click.option(
    "--alpha",
    type=Parsed(parse_alpha),
    default=DEFAULT_ALPHA,
    show_default=True,
    help="Error rate of every interval.",
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

    def open(self, bar: MeasuringBar | None = None) -> Measurements:
        """The measurements, with a progress bar on a terminal: the one that is given, or its own.

        Raises:
            MMFlowError: The checkpoint, the questions or the store cannot be opened, or none of the
                questions can be used.
        """
        spec, bar = self.spec, bar or bar_of_command()
        measurements = Measurements.open(spec, self.measurement, progress=bar)
        click.get_current_context().call_on_close(measurements.close)
        if not measurements.tasks:
            raise unusable(measurements.samples)
        return measurements


def bar_of_command() -> MeasuringBar:
    """A progress bar that ends with the command."""
    bar = MeasuringBar(sys.stderr)
    click.get_current_context().call_on_close(bar.close)
    return bar


def asking(place: Place) -> Decorator:
    """Give a command every option that says it is offered there, as an argument `asked`."""
    offered = {o.key: o for o in options_of(Asked) if place in o.places}

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def asked(**given: object) -> None:
            said = {key: given.pop(key) for key in offered}
            values = {key: _value(offered[key], value) for key, value in said.items()}
            try:
                chosen = settings_of(Asked, lambda option: values.get(option.key))
            except ValueError as error:
                raise click.UsageError(str(error)) from error
            try:
                function(asked=chosen, **given)
            except KeyboardInterrupt:
                say(stopped(chosen.measurement.cache), to_error=True)
                raise

        return _marked(asked, reversed(offered.values()))

    return decorate


def parameters(options: Iterable[Option[object]]) -> list[click.Parameter]:
    """Options as click has them, of no command in particular."""

    def command() -> None:
        """Stand in for one."""

    found: list[click.Parameter] = getattr(_marked(command, options), "__click_params__", [])
    return found


def _marked(
    function: Callable[..., None], options: Iterable[Option[object]]
) -> Callable[..., None]:
    """A function that click will make a command of with these options, the last one first."""
    for option in options:
        function = _click_option(option)(function)
    return function


def _click_option(option: Option[object]) -> Decorator:
    flag = option.command_flag or option.flag
    if option.is_flag:
        both = f"{flag}/{option.off_flag}" if option.off else flag
        return click.option(
            both, option.key, is_flag=True, default=bool(option.off), help=option.help
        )
    text = str if option.is_repeated else Parsed(partial(_meant, option))
    return click.option(
        *(flag, option.key),
        type=click.Choice(option.choices) if option.choices else option.number or text,
        default=option.unsaid,
        envvar=option.environment,
        metavar=option.metavar,
        help=option.help,
        shell_complete=partial(_completed, option.suggest) if option.suggest else None,
    )


def _completed(
    suggest: Callable[[], Iterable[str]],
    _: click.Context,
    __: click.Parameter,
    incomplete: str,
) -> list[CompletionItem]:
    """Names that begin so; where none does, folders, which a checkpoint may be too."""
    known = [CompletionItem(name) for name in sorted(suggest()) if name.startswith(incomplete)]
    return known or [CompletionItem(incomplete, type="dir")]


def _meant(option: Option[object], said: str) -> object | None:
    return option.value_of(said, Path()) if option.is_said(said) else option.otherwise()


def _value(option: Option[object], said: object | None) -> object | None:
    if option.is_repeated:
        # A command takes one, whole: a comma may belong to a path. An empty one is no default.
        return None if said is None else (said,)
    is_text = option.choices and said is not None
    return option.value_of(str(said), Path()) if is_text else said


_ADVICE = "what was measured is in the store, so the same command with another --output is quick"


def saving(output: Path) -> AbstractContextManager[None]:
    """A block that writes the file of --output; what the system refuses is a `StoreError`."""
    return refusing(StoreError, "a file that can be written", output, _ADVICE)


def is_stream(output: Path) -> bool:
    """Whether a name stands for what is written to and not replaced: a device or a pipe.

    What the system links to one, /dev/stdout say, is one as well, wherever it leads.
    """
    return is_special(output) or output.parent == Path("/dev")


def require_output(output: Path | None, suffixes: Collection[str] = ()) -> None:
    """Refuse a file of --output that is named wrongly or cannot be written.

    Before an hour of measuring, not after it.

    Raises:
        click.BadParameter: It has none of the suffixes.
        StoreError: It cannot be written.
    """
    if output is None:
        return
    if suffixes and output.suffix not in suffixes:
        *most, last = (f"FILE{suffix}" for suffix in suffixes)
        said = f"{', '.join(most)} or {last}, got {output}"
        raise click.BadParameter(said, param_hint="--output")
    if not suffixes and is_stream(output):
        return
    with refusing(StoreError, "a file that can be written", output, "choose another --output"):
        try_writing_file(output)


def echo_counts(
    measurements: Measurements, *, asked: Collection[str] = (), to_error: bool = False
) -> None:
    """Say of each task how many samples were right, and why others could not be measured.

    Args:
        measurements: After measuring.
        asked: Edges (or `lens`) to speak of; those that some samples have when empty.
        to_error: Write to standard error.
    """
    for line in _lines(measurements, asked):
        say(line, to_error=to_error)


def _lines(measurements: Measurements, asked: Collection[str]) -> Iterator[str]:
    counts = {task: measurements.accuracy(task) for task in measurements.tasks}
    is_wrong = any(count.correct < count.scored for count in counts.values())
    said = mistakes(measurements.answered(), measurements.described()) if is_wrong else {}
    for task, count in counts.items():
        unscored = f"; unscored: {in_words(count.unscored)}" if count.unscored else ""
        yield f"{task}: {count.correct} of {count.scored} answered correctly{unscored}"
        if task in said:
            yield said[task]
        kept = count.correct if measurements.follow == "answer" else count.scored
        for edge, reasons in measurements.refusals(task).items():
            # What no sample has is no loss, unless the user has asked for it by name.
            if edge.partition(" ")[0] in asked or not (asked or sum(reasons.values()) >= kept):
                yield f"{task}: {edge} unscored: {in_words(reasons)}"
    lost = Counter(
        (bad.task, bad.reason)
        for bad in measurements.samples.unreadable
        if bad.task not in measurements.tasks
    )
    yield from (f"{task}: unscored: {reason} {n}" for (task, reason), n in sorted(lost.items()))
    yield from (f"  {message}" for message in measurements.messages(limit=SHOWN_MESSAGES))


def why_empty(measurements: Measurements, settings: MeasurementSettings) -> str:
    """Why a table of samples has no row, and what to do."""
    counts = [measurements.accuracy(task) for task in measurements.tasks]
    scored = sum(count.scored for count in counts)
    if not scored:
        return "no sample could be measured, for the reasons above"
    is_kept = settings.keep_incorrect or settings.follow is Followed.REFERENCE
    if not is_kept and not any(count.correct for count in counts):
        return (
            f"all {scored} answers are wrong, and a table has right ones only; --keep-incorrect "
            "takes the others too, whatever the checkpoint says"
        )
    return "no sample has what was asked for, for the reasons above"
