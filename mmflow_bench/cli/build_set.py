"""`mmflow build-set`: a question set for any checkpoint, as the paper made its own (App. A)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import click

from mmflow_bench.cli.options import Asked, Parsed, asking, require_output, saving
from mmflow_bench.cli.saying import say
from mmflow_bench.files import replace_file
from mmflow_bench.inputs.gqa import read_candidates
from mmflow_bench.inputs.image_sources import image_source
from mmflow_bench.inputs.published import Row
from mmflow_bench.inputs.questions import published_samples
from mmflow_bench.inputs.samples import ImageSource, Sample
from mmflow_bench.inputs.writing import WRITTEN_SUFFIXES, write_published, write_samples
from mmflow_bench.measurements.answering import answered_correctly, drawn, sample_set
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import default_cache, parse_seed
from mmflow_bench.names import matches, refuse_unmatched
from mmflow_bench.options import Place
from mmflow_bench.runs.rows import grouped
from mmflow_bench.store.address import local_folder

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class TaskReport(TypedDict, total=False):
    """What became of the questions of one task, as it is written beside the set."""

    candidates: int
    asked: int
    accuracy: float | None
    kept: int
    left_out: dict[str, int]


Report = dict[str, TaskReport]


@click.command("build-set")
@click.option("--gqa-questions", type=FILE, required=True, help="val_balanced_questions.json")
@click.option("--scene-graphs", type=FILE, required=True, help="val_sceneGraphs.json")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="FILE.parquet, FILE.csv or FILE.jsonl; the counts go to FILE.counts.json.",
)
@asking(Place.BUILD_SET)
@click.option("--no-filter", is_flag=True, help="Ask no model: keep right and wrong answers.")
@click.option(
    "--per-task", type=click.IntRange(1), default=1000, show_default=True, help="At most."
)
@click.option("--groups", is_flag=True, help="All 15 groups of Table 2, not the six tasks.")
@click.option(
    "--seed", type=Parsed(parse_seed), default=0, show_default=True, help="Of what is drawn."
)
def build_set(
    asked: Asked,
    gqa_questions: Path,
    scene_graphs: Path,
    output: Path,
    no_filter: bool,
    per_task: int,
    groups: bool,
    seed: int,
) -> None:
    """Make a question set of GQA's questions and scene graphs.

    Of each task at most --per-task questions that --model answers correctly are drawn. What was
    left out is counted by reason, on standard output and beside the set.
    """
    require_output(output, WRITTEN_SUFFIXES)
    if no_filter == bool(asked.checkpoint.models):
        raise click.UsageError("give --model and --images, or --no-filter to ask no model")
    if not no_filter and asked.measurement.images is None:
        raise click.UsageError("--model answers questions about images: give --images too")
    found = read_candidates(gqa_questions, scene_graphs, whole_groups=groups)
    report: Report = {task: {"left_out": dict(why)} for task, why in found.left_out.items()}
    source = _source(asked)
    # Answers need no knockout, so there is nothing to prove about them.
    settings = replace(asked.measurement, self_test=False)
    model = None if no_filter else Measurements(asked.spec, sample_set([]), settings)
    kept: list[Sample] = []
    usable = _usable(found.rows, source, report)
    refuse_unmatched(
        asked.measurement.tasks,
        sorted({*usable, *report}),
        option="--tasks",
        what="a task of GQA's questions",
        advice="--groups has other names",
    )
    for task, samples in usable.items():
        if matches(task, asked.measurement.tasks):
            part, about, left_out = _chosen(samples, model, source, limit=per_task, seed=seed)
            more = {reason: number for reason, number in left_out.items() if number}
            known = report.get(task, {}).get("left_out", {})
            report[task] = {**about, "left_out": known | more}
            kept += part
    counts = output.with_suffix(".counts.json")
    with saving(output):
        _write(output, found.rows, kept)
        text = json.dumps(report, indent=1, sort_keys=True) + "\n"
        replace_file(counts, text)
    _tell(report, output, counts)


def _source(asked: Asked) -> ImageSource | None:
    measured = asked.measurement
    if measured.images is None:
        return None
    cache = measured.folder or local_folder(default_cache())
    return image_source(measured.images, cache=cache, offline=asked.checkpoint.offline)


def _usable(
    rows: Sequence[Row], source: ImageSource | None, report: Report
) -> dict[str, list[Sample]]:
    """Samples by task; a row that could not be measured later is left out now."""
    samples, unscored = published_samples(rows, source)
    reasons = Counter((bad.task, bad.reason) for bad in unscored)
    for (task, reason), number in reasons.items():
        report.setdefault(task, {}).setdefault("left_out", {})[reason] = number
    return dict(sorted(grouped(samples, lambda one: one.task).items()))


def _chosen(
    samples: Sequence[Sample],
    model: Measurements | None,
    source: ImageSource | None,
    *,
    limit: int,
    seed: int,
) -> tuple[Sequence[Sample], TaskReport, Mapping[str, int]]:
    """Samples of one task for the set, what to say of them, and why others are not among them."""
    if model is None:
        part = drawn(samples, limit=limit, seed=seed)
        said: TaskReport = {"candidates": len(samples), "kept": len(part)}
        return part, said, {"not-needed": len(samples) - len(part)}
    answered = answered_correctly(model, samples, limit=limit, seed=seed, source=source)
    right = answered.asked - answered.wrong
    about: TaskReport = {
        "candidates": len(samples),
        "asked": answered.asked,
        "accuracy": right / answered.asked if answered.asked else None,
        "kept": len(answered.kept),
    }
    others = {"answered-incorrectly": answered.wrong, "not-needed": answered.not_needed}
    return answered.kept, about, answered.unscored | others


def _write(output: Path, rows: Sequence[Row], kept: Sequence[Sample]) -> None:
    if output.suffix == ".jsonl":
        write_samples(kept, output)
        return
    by_id = {row["question_id"]: row for row in rows}
    write_published([by_id[sample.question_id] for sample in kept], output)


def _tell(report: Report, output: Path, counts: Path) -> None:
    for task, facts in sorted(report.items(), key=lambda item: ("kept" not in item[1], item[0])):
        why = ", ".join(f"{reason} {number}" for reason, number in facts["left_out"].items())
        said = f"{facts['kept']} of {facts['candidates']}" if "kept" in facts else "0"
        if (accuracy := facts.get("accuracy")) is not None:
            said += f" (accuracy {accuracy:.1%} of {facts['asked']} asked)"
        say(f"{task}: {said}" + (f"; left out: {why}" if why else ""))
    total = sum(facts.get("kept", 0) for facts in report.values())
    say(f"{total} rows: {output}; counts: {counts}")
