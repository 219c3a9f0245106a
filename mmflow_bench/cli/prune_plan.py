"""`mmflow prune-plan`: from which layer on image tokens can go, tried by real generation."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from mmflow_bench.baselines.tolerances import parse_loss
from mmflow_bench.cli.options import (
    ALPHA,
    Asked,
    Parsed,
    asking,
    is_stream,
    require_output,
    saving,
)
from mmflow_bench.cli.saying import say_json
from mmflow_bench.errors import SelectionError
from mmflow_bench.files import replace_file
from mmflow_bench.measurements.halves import halves
from mmflow_bench.measurements.pruned import PlanAnswers, PlanLayers
from mmflow_bench.measurements.removal import ImageRemoval, RemovalTable, Removed
from mmflow_bench.measurements.selection import in_words
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.mechanisms.bands import INTACT
from mmflow_bench.mechanisms.prune_plan import (
    PrunePlan,
    Step,
    finding_of,
    outcome_of,
    plans_of,
    steps_of,
)
from mmflow_bench.mechanisms.removal import RemovalCurve
from mmflow_bench.options import Place
from mmflow_bench.reports.columns import has_colours, terminal_width
from mmflow_bench.reports.progress import MeasuringBar
from mmflow_bench.reports.prune_table import render_prune_plan
from mmflow_bench.statistics.unseen import images_to_show


@click.command()
@click.option(
    "--margin",
    type=Parsed(parse_loss),
    default=INTACT,
    show_default=True,
    help="Accuracy that may be lost: 0.02 or 2%.",
)
@ALPHA
@click.option(
    "--repeats",
    type=click.IntRange(1, 100),
    default=3,
    show_default=True,
    help="Times that each answer is generated to be timed.",
)
@click.option("--json", "is_json", is_flag=True, help="As JSON, on standard output.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="FILE.json")
@asking(Place.PRUNE_PLAN)
def prune_plan(
    asked: Asked, margin: float, alpha: float, repeats: int, is_json: bool, output: Path | None
) -> None:
    """From which layer on image tokens can go, chosen on some images and tried on others.

    On half of the images the answers without the image from each of seven layers on are measured;
    on the others the earliest layer that is shown to be safe is tried, by generation that really
    drops the image: accuracy, time, operations and cache before and after. A second plan lets what
    is not related to the question go earlier than the rest.
    """
    require_output(output, (".json",))
    measurements = asked.open()
    chosen, held_out = (measurements.on(half) for half in halves(measurements.samples))
    curves = list(_curves(chosen, margin, alpha))
    steps = tuple(step for curve in curves for step in steps_of(curve))
    plans = plans_of(steps)
    answers = _tried(held_out, plans, repeats)
    outcomes = [outcome_of(one, margin=margin, alpha=alpha) for one in answers]
    found = PrunePlan(
        checkpoint=measurements.name,
        decoder_layers=measurements.decoder_layers,
        device=str(measurements.checkpoint.device) if plans else "",
        margin=margin,
        alpha=alpha,
        repeats=repeats,
        samples=curves[0].samples,
        images=curves[0].images,
        steps=steps,
        finding=finding_of(plans),
        outcomes=tuple(one for one in outcomes if one is not None),
        notes=tuple(_notes(chosen, curves, steps, plans, answers)),
    )
    _tell(found, is_json=is_json, output=output)


def _curves(chosen: Measurements, margin: float, alpha: float) -> Iterator[RemovalCurve]:
    """What is lost without the image, and without what is not related where that is known.

    Raises:
        SelectionError: There is no image, no layer to go without it, or no right answer to lose.
    """
    wants = [ImageRemoval(removed=removed) for removed in Removed]
    for task in chosen.tasks:
        chosen.ensure(task, wants)
    for want in wants:
        tables = [chosen.table(task, want) for task in chosen.tasks]
        known = [table for table in tables if table.question_ids]
        if known:
            yield RemovalCurve(tables=_useful(known, chosen), alpha=alpha, margin=margin)
        elif want.removed is Removed.IMAGE:
            raise SelectionError(
                "samples with an image that can be removed, got none"
                f"{_refusals(chosen, want.name)}; this takes a checkpoint that sees images"
            )


def _useful(tables: Sequence[RemovalTable], chosen: Measurements) -> Sequence[RemovalTable]:
    if len(tables[0].layers) == 1:
        raise SelectionError(
            f"a decoder of at least two layers, got {chosen.decoder_layers} ({chosen.name}); an "
            "image cannot go before the first"
        )
    if not any(table.is_correct[:, -1].any() for table in tables):
        raise SelectionError(
            "a checkpoint that answers some of the questions, got none right (checkpoint "
            f"{chosen.name}); without an accuracy none can be lost"
        )
    return tables


def _tried(
    held_out: Measurements, plans: Sequence[PlanLayers], repeats: int
) -> Sequence[PlanAnswers]:
    if not plans:
        return ()
    # Imported here: a wrong option is said without the seconds that torch takes.
    from mmflow_bench.measurements.pruning import answers_of_plans

    samples = [sample for task in held_out.tasks for sample in held_out.samples.of(task)]
    bar = MeasuringBar(sys.stderr)
    click.get_current_context().call_on_close(bar.close)
    return answers_of_plans(
        held_out.checkpoint,
        samples,
        plans,
        repeats=repeats,
        tell=lambda done: bar("held-out images", done, len(samples)),
    )


def _notes(
    chosen: Measurements,
    curves: Sequence[RemovalCurve],
    steps: Sequence[Step],
    plans: Sequence[PlanLayers],
    answers: Sequence[PlanAnswers],
) -> Iterator[str]:
    """What must be read beside the finding."""
    needed = images_to_show(curves[0].margin, alpha=curves[0].alpha)
    if not plans and curves[0].images < needed:
        yield (
            f"a loss under {100 * curves[0].margin:g} points takes at least {needed} images in "
            f"either half to show, there are {curves[0].images}: use more, or a larger --margin"
        )
    if len(curves) == 1:
        name = ImageRemoval(removed=Removed.UNRELATED).name
        yield f"which patches are related is not known{_refusals(chosen, name)}: no second plan"
    elif len(plans) == 1:
        yield "what is not related is not shown to be safe before the rest: no second plan"
    if steps and curves[-1].samples < curves[0].samples and len(curves) > 1:
        yield f"of {curves[0].samples} samples {curves[-1].samples} say what is related"
    for one in answers:
        if not one.samples:
            yield f"no held-out sample could be answered by a plan: {in_words(one.unscored)}"


def _refusals(measurements: Measurements, name: str) -> str:
    reasons = [measurements.refusals(task).get(name, {}) for task in measurements.tasks]
    counted = {reason: 0 for of_task in reasons for reason in of_task}
    for of_task in reasons:
        for reason, number in of_task.items():
            counted[reason] += number
    return f" ({in_words(counted)})" if counted else ""


def _tell(found: PrunePlan, *, is_json: bool, output: Path | None) -> None:
    text = json.dumps(found.as_json(), indent=1)
    if output is not None:
        with saving(output):
            if is_stream(output):
                output.write_text(f"{text}\n", encoding="utf-8")
            else:
                replace_file(output, f"{text}\n")
    if is_json:
        say_json(text)
        return
    colour = has_colours(sys.stdout)
    shown = render_prune_plan(found, width=terminal_width(), colour=colour)
    click.echo(shown, nl=False, color=colour)
