"""Options that several sub-commands share, with the meaning they have in pytest."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mmflow_bench.checkpoints.patch_rule import PATCH_RULES, with_patch_rule
from mmflow_bench.measurements.following import Followed
from mmflow_bench.measurements.settings import (
    MeasurementSettings,
    parse_batch_size,
    parse_cache,
    parse_globs,
    parse_images,
    parse_limit,
    parse_model_args,
    parse_questions,
    parse_window,
    resolve_device,
)

if TYPE_CHECKING:
    from mmflow_bench.checkpoints.spec import CheckpointSpec
    from mmflow_bench.measurements.session import Measurements

Function = TypeVar("Function", bound=Callable[..., Any])


class Parsed(click.ParamType):  # type: ignore[type-arg]
    """A value whose own parser says what is wrong with it."""

    name = "text"

    def __init__(self, parse: Callable[[str], Any]) -> None:
        """Convert with `parse`, which raises ValueError."""
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The parsed value, or click's usage error."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


MODEL_OPTIONS = [
    click.option("--model", envvar="MMFLOW_MODEL", help="Registered name, folder or hub id."),
    click.option("--model-args", type=Parsed(parse_model_args), default="", help="k=v,k=v"),
    click.option(
        "--input", "input_choice", type=click.Choice(["paper", "hub"]), help="Whose input."
    ),
    click.option(
        "--patches", type=click.Choice(PATCH_RULES), help="Rule for related patches: overlap."
    ),
    click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1, auto"),
    click.option("--offline", is_flag=True, help="Never ask a hub."),
    click.option("--trust-remote-code", is_flag=True, help="Run code a checkpoint brings along."),
]
_SAMPLES = [
    click.option("--tasks", type=Parsed(parse_globs), default="", help="Globs: Choose*,QueryAttr"),
    click.option(
        "--questions", type=Parsed(parse_questions), help="Question file, folder, pattern, or gqa."
    ),
    click.option(
        "--images", type=Parsed(parse_images), help="Folder, zip file, or hub[:OWNER/NAME]."
    ),
    click.option("--limit", type=Parsed(parse_limit), help="Samples per task: 20, 0.1 or 10-20."),
    click.option("--seed", type=int, help="Shuffle before --limit (default: file order)."),
]
_FOLLOW = click.option(
    "--follow",
    type=click.Choice(tuple(map(str, Followed))),
    default=str(Followed.ANSWER),
    show_default=True,
    help="The model's own answer where it is right, or the reference answer on every sample.",
)
_STORE = [
    click.option("--batch-size", type=Parsed(parse_batch_size), default="auto", help="N or auto"),
    click.option("--mmflow-cache", "cache", help="Folder of the store, or off."),
    click.option("--from-cache", is_flag=True, help="Never load the checkpoint."),
    click.option("--refresh", is_flag=True, help="Measure again what the store has."),
    click.option("--self-test/--no-self-test", default=True, help="Prove exactness on loading."),
]
WINDOW = click.option(
    "--window", type=Parsed(parse_window), default="auto", show_default=True, help="Odd, or auto."
)
KEEP_INCORRECT = click.option(
    "--keep-incorrect", is_flag=True, help="Keep samples that were answered wrongly."
)
OUTPUT = click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="FILE.parquet or FILE.csv; CSV on standard output when left out.",
)


def measuring_options(function: Function) -> Function:
    """Add every option that says what is measured, on what, and where it is kept."""
    for option in reversed([*MODEL_OPTIONS, *_SAMPLES, _FOLLOW, *_STORE]):
        function = option(function)
    return function


def model_and_sample_options(function: Function) -> Function:
    """Add the options that say which checkpoint sees which samples."""
    for option in reversed([*MODEL_OPTIONS, *_SAMPLES]):
        function = option(function)
    return function


def spec_of(options: dict[str, Any]) -> CheckpointSpec:
    """The checkpoint that the options name.

    Raises:
        CheckpointError: It is not known or not there.
    """
    from mmflow_bench.checkpoints.registry import DEFAULT_MODEL, resolve_checkpoint

    spec = resolve_checkpoint(
        options["model"] or DEFAULT_MODEL,
        model_args=options["model_args"] or {},
        device=resolve_device(options["device"]),
        offline=options["offline"],
        trust_remote_code=options["trust_remote_code"],
        input_choice=options["input_choice"],
    )
    return with_patch_rule(spec, options.get("patches"))


def open_measurements(options: dict[str, Any], *, keep_incorrect: bool = False) -> Measurements:
    """The measurements that the options describe, with a progress bar on a terminal.

    Raises:
        MMFlowError: The checkpoint, the questions or the store cannot be opened.
    """
    from mmflow_bench.measurements.session import Measurements
    from mmflow_bench.reports.progress import MeasuringBar

    spec = spec_of(options)
    settings = MeasurementSettings(
        questions=options["questions"],
        images=options["images"],
        tasks=options["tasks"] or (),
        limit=options["limit"],
        seed=options["seed"],
        cache=parse_cache(options.get("cache")),
        from_cache=options.get("from_cache", False),
        refresh=options.get("refresh", False),
        batch_size=options.get("batch_size"),
        self_test=options.get("self_test", False),
        keep_incorrect=keep_incorrect,
        follow=Followed(options.get("follow", Followed.ANSWER)),
    )
    bar = MeasuringBar(sys.stderr)
    click.get_current_context().call_on_close(bar.close)
    return Measurements.open(spec, progress=bar, **settings.open_arguments())
