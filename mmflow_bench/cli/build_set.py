"""`mmflow build-set`: a question set for any checkpoint, as the paper made its own (App. A)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmflow_bench.cli.options import MODEL_OPTIONS, Parsed, spec_of
from mmflow_bench.measurements.settings import (
    default_cache,
    matches,
    parse_batch_size,
    parse_cache,
    parse_globs,
    parse_images,
)

if TYPE_CHECKING:
    from mmflow_bench.inputs.published import Row
    from mmflow_bench.inputs.samples import ImageSource, Sample
    from mmflow_bench.measurements.session import Measurements

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
Report = dict[str, dict[str, Any]]


def _model_options(function: Any) -> Any:
    for option in reversed(MODEL_OPTIONS):
        function = option(function)
    return function


@click.command("build-set")
@click.option("--gqa-questions", type=FILE, required=True, help="val_balanced_questions.json")
@click.option("--scene-graphs", type=FILE, required=True, help="val_sceneGraphs.json")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="FILE.parquet, FILE.csv or FILE.jsonl; the counts go to FILE.counts.json.",
)
@_model_options
@click.option("--images", type=Parsed(parse_images), help="Folder, zip file, or hub[:OWNER/NAME].")
@click.option("--no-filter", is_flag=True, help="Ask no model: keep right and wrong answers.")
@click.option(
    "--per-task", type=click.IntRange(1), default=1000, show_default=True, help="At most."
)
@click.option("--tasks", type=Parsed(parse_globs), default="", help="Globs: Choose*,QueryAttr")
@click.option("--groups", is_flag=True, help="All 15 groups of Table 2, not the six tasks.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is drawn.")
@click.option("--batch-size", type=Parsed(parse_batch_size), default="auto", help="N or auto")
@click.option("--mmflow-cache", "cache", help="Folder of the store, or off.")
def build_set(output: Path, no_filter: bool, groups: bool, **options: Any) -> None:
    """Make a question set of GQA's questions and scene graphs.

    Of each task at most --per-task questions that --model answers correctly are drawn. What was
    left out is counted by reason, on standard output and beside the set.
    """
    from mmflow_bench.inputs.gqa import read_candidates
    from mmflow_bench.inputs.writing import WRITTEN_SUFFIXES

    if output.suffix not in WRITTEN_SUFFIXES:
        raise click.BadParameter(
            f"{', '.join(WRITTEN_SUFFIXES)}, got {output}", param_hint="--output"
        )
    if no_filter == (options["model"] is not None):
        raise click.UsageError("give --model and --images, or --no-filter to ask no model")
    if not no_filter and options["images"] is None:
        raise click.UsageError("--model answers questions about images: give --images too")
    found = read_candidates(options["gqa_questions"], options["scene_graphs"], whole_groups=groups)
    report: Report = {task: {"left_out": dict(why)} for task, why in found.left_out.items()}
    source = _source(options)
    by_task = _usable(found.rows, source, report)
    chosen = {
        task: samples for task, samples in by_task.items() if matches(task, options["tasks"] or ())
    }
    kept = _drawn(chosen, options, report) if no_filter else _asked(chosen, options, source, report)
    _write(output, found.rows, kept)
    _tell(report, output)


def _source(options: Mapping[str, Any]) -> ImageSource | None:
    from mmflow_bench.inputs.image_sources import image_source

    if options["images"] is None:
        return None
    cache = parse_cache(options["cache"]) or default_cache()
    return image_source(options["images"], cache=cache, offline=options["offline"])


def _usable(
    rows: Sequence[Row], source: ImageSource | None, report: Report
) -> dict[str, list[Sample]]:
    """Samples by task; a row that could not be measured later is left out now."""
    from mmflow_bench.inputs.questions import published_samples

    samples, unscored = published_samples(rows, source)
    by_task: dict[str, list[Sample]] = {}
    for sample in samples:
        by_task.setdefault(sample.task, []).append(sample)
    reasons = Counter((bad.task, bad.reason) for bad in unscored)
    for (task, reason), number in reasons.items():
        report.setdefault(task, {}).setdefault("left_out", {})[reason] = number
    return dict(sorted(by_task.items()))


def _drawn(
    by_task: Mapping[str, Sequence[Sample]], options: Mapping[str, Any], report: Report
) -> list[Sample]:
    from mmflow_bench.measurements.answering import drawn

    kept: list[Sample] = []
    for task, samples in by_task.items():
        part = drawn(samples, limit=options["per_task"], seed=options["seed"])
        _report(report, task, candidates=len(samples), kept=len(part))
        _left_out(report, task, {"not-needed": len(samples) - len(part)})
        kept += part
    return kept


def _asked(
    by_task: Mapping[str, Sequence[Sample]],
    options: Mapping[str, Any],
    source: ImageSource | None,
    report: Report,
) -> list[Sample]:
    from mmflow_bench.measurements.answering import answered_correctly

    measurements = _measurements(options)
    kept: list[Sample] = []
    for task, samples in by_task.items():
        answered = answered_correctly(
            measurements, samples, limit=options["per_task"], seed=options["seed"], source=source
        )
        right = answered.asked - answered.wrong
        _report(
            report,
            task,
            candidates=len(samples),
            asked=answered.asked,
            accuracy=right / answered.asked if answered.asked else None,
            kept=len(answered.kept),
        )
        others = {"answered-incorrectly": answered.wrong, "not-needed": answered.not_needed}
        _left_out(report, task, answered.unscored | others)
        kept += answered.kept
    return kept


def _measurements(options: Mapping[str, Any]) -> Measurements:
    from mmflow_bench.measurements.answering import sample_set
    from mmflow_bench.measurements.opening import MeasurementOptions
    from mmflow_bench.measurements.session import Measurements

    # Answers need no knockout, so there is nothing to prove about them.
    kept_in = MeasurementOptions(
        cache=parse_cache(options["cache"]), batch_size=options["batch_size"], self_test=False
    )
    return Measurements(spec_of(dict(options)), sample_set([]), kept_in)


def _report(report: Report, task: str, **facts: Any) -> None:
    report[task] = facts | {"left_out": report.get(task, {}).get("left_out", {})}


def _left_out(report: Report, task: str, reasons: Mapping[str, int]) -> None:
    report[task]["left_out"] |= {reason: number for reason, number in reasons.items() if number}


def _write(output: Path, rows: Sequence[Row], kept: Sequence[Sample]) -> None:
    from mmflow_bench.inputs.writing import write_published, write_samples

    if output.suffix == ".jsonl":
        write_samples(kept, output)
        return
    by_id = {row["question_id"]: row for row in rows}
    write_published([by_id[sample.question_id] for sample in kept], output)


def _tell(report: Report, output: Path) -> None:
    for task, facts in sorted(report.items(), key=lambda item: ("kept" not in item[1], item[0])):
        why = ", ".join(f"{reason} {number}" for reason, number in facts["left_out"].items())
        said = f"{facts['kept']} of {facts['candidates']}" if "kept" in facts else "0"
        if facts.get("accuracy") is not None:
            said += f" (accuracy {facts['accuracy']:.1%} of {facts['asked']} asked)"
        click.echo(f"{task}: {said}" + (f"; left out: {why}" if why else ""))
    counts = output.with_suffix(".counts.json")
    counts.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    total = sum(facts.get("kept", 0) for facts in report.values())
    click.echo(f"{total} rows: {output}; counts: {counts}")
