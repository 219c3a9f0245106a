"""What measurements leave in a run folder: tables of samples, facts, and results beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from mmflow_bench.checkpoints.resembling import resembled
from mmflow_bench.inputs.question_sets import questions_fingerprint
from mmflow_bench.measurements.knockout_sweep import Sweep, SweepTable
from mmflow_bench.measurements.last_piece import LastPiece
from mmflow_bench.measurements.lens import LensTable
from mmflow_bench.measurements.question_semantics import SemanticsTable
from mmflow_bench.measurements.removal import RemovalTable
from mmflow_bench.measurements.selection import SHOWN_MESSAGES
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.mechanisms.blind import blind_controls
from mmflow_bench.mechanisms.measuring import PlannedMeasurements
from mmflow_bench.runs.facts import Facts, TaskFacts
from mmflow_bench.runs.folder import ANSWERS, LENS, PIECES, QUESTIONS, REMOVAL, SAMPLES, SEMANTICS
from mmflow_bench.runs.rows import ALL, MechanismRow
from mmflow_bench.runs.tables import lens_rows, removal_rows, semantics_rows, sweep_rows, write_part

# Every test of a run asks for the conditions, and a question file may be large.
_content_hash = cache(questions_fingerprint)


def conditions(
    measured: MeasurementSettings, alpha: float, task: str, *, stat: str = "bootstrap"
) -> str:
    """What must be equal before two runs of a task may be compared number by number."""
    questions = "own"
    if measured.questions is not None:
        questions = f"{measured.questions.name}:{_content_hash(measured.questions)[:8]}"
    seed = "" if measured.seed is None else f" seed={measured.seed}"
    # Which tasks are selected moves nothing but the statements across tasks.
    among = f" tasks={','.join(measured.tasks)}" if task == ALL and measured.tasks else ""
    follow = "" if measured.follow == "answer" else f" follow={measured.follow}"
    looks = "" if stat == "bootstrap" else f" stat={stat}"
    return (
        f"questions={questions} limit={measured.limit or 'all'}{seed}{among}{follow} "
        f"window={measured.window or 'auto'} alpha={alpha:g}{looks}"
    )


def write_results(
    folder: Path,
    rows: Sequence[MechanismRow],
    *,
    facts: Facts,
    run_id: str,
    settings: Mapping[str, object],
    measured: MeasurementSettings,
    alpha: float,
    stat: str = "bootstrap",
    errors: Sequence[Mapping[str, str]] = (),
) -> None:
    """Write the run folder of one checkpoint, whose tables of samples are there already.

    Args:
        folder: The run folder.
        rows: Every mechanism that was decided.
        facts: What was learned of the checkpoint.
        run_id: Of the run.
        settings: As JSON values.
        measured: Of the same, what is compared before numbers are.
        alpha: Error rate of every interval.
        stat: Whether all samples were looked at once, or more and more of them.
        errors: `test` and `message` of what ended without a verdict.

    Raises:
        StoreError: The folder cannot be written.
    """
    # pydantic is slow to import, and workers write no results.
    from mmflow_bench.runs.results import environment, results_of, write_run

    one, all_tasks = (conditions(measured, alpha, task, stat=stat) for task in ("one", ALL))
    results = results_of(
        rows,
        facts=facts,
        run_id=run_id,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        settings={**settings, "conditions": {"task": one, "all": all_tasks}},
        environment=environment(),
        errors=errors,
    )
    write_run(folder, results, rows)


def write_samples(planned: PlannedMeasurements, folder: Path) -> None:
    """Write what tests have read, sample by sample, as a part of the run folder's tables."""
    opened, read = planned.opened, [*planned.tables.items(), *planned.part_tables.items()]
    # Tables of one kind may be of several wants.
    sweeps, pieces = (
        [
            table
            for (_, want), table in read
            if isinstance(want, kind) and isinstance(table, SweepTable)
        ]
        for kind in (Sweep, LastPiece)
    )
    write_part(folder, SAMPLES, sweep_rows(sweeps))
    write_part(folder, PIECES, sweep_rows(pieces))
    lenses = [table for _, table in read if isinstance(table, LensTable)]
    write_part(folder, LENS, lens_rows(lenses))
    said = [table for _, table in read if isinstance(table, SemanticsTable)]
    write_part(folder, SEMANTICS, semantics_rows(said))
    removed = [table for _, table in read if isinstance(table, RemovalTable)]
    write_part(folder, REMOVAL, removal_rows(removed))
    # The store may know the answers of tasks that this run has not looked at.
    answers = opened.answered() if planned.counts else []
    write_part(folder, ANSWERS, [row for row in answers if row["task"] in planned.counts])
    write_part(folder, QUESTIONS, opened.described() if planned.counts else [])


def facts_of(planned: PlannedMeasurements) -> Facts:
    """Checkpoint, data and answer counts, as far as the measurements know them."""
    opened = planned.opened
    return {
        "checkpoint": {
            "name": str(opened.name),
            "source": str(opened.spec.source),
            "revision": opened.spec.revision,
            "as": opened.paper_model,
            # Said at the end, where it is asked as none: whoever names it knows better.
            "resembles": None if opened.paper_model else resembled(opened.spec),
            "fingerprint": opened.fingerprint,
            **opened.provenance,
        },
        "experiment": _experiment(planned) if planned.counts else {},
        "data": {"fingerprint": opened.samples.fingerprint},
        "tasks": _tasks(planned),
        "self_test": list(opened.self_test),
        "noise_floor": float(planned.noise_floor) if planned.counts else 0.0,
        "messages": opened.messages(limit=SHOWN_MESSAGES),
    }


def _tasks(planned: PlannedMeasurements) -> dict[str, TaskFacts]:
    unreadable = planned.opened.samples.unreadable
    tasks: dict[str, TaskFacts] = {}
    # A task none of whose samples can be read is not looked at, and must not vanish for that.
    for task in {bad.task for bad in unreadable} - planned.counts.keys():
        lost = [bad for bad in unreadable if bad.task == task]
        reasons = Counter(bad.reason for bad in lost)
        tasks[task] = {
            "selected": len(lost),
            "images": len({bad.image_id for bad in lost}),
            "correct": 0,
            "unscored": dict(reasons),
        }
    blind = blind_controls(planned.tables.values())
    for task, count in planned.counts.items():
        tasks[task] = {
            "selected": int(count.selected),
            "images": int(count.images),
            "correct": int(count.correct),
            "unscored": {reason: int(n) for reason, n in count.unscored.items()},
            "edges_unscored": {name: dict(why) for name, why in planned.refusals(task).items()},
        }
        if order := planned.compared.get(task):
            tasks[task]["order"] = {
                "of": order.of,
                "seen": order.seen,
                "missing": order.missing,
                "looks": order.looks,
            }
        if task in blind:
            tasks[task]["blind"] = dict(blind[task].described())
    return tasks


def _experiment(planned: PlannedMeasurements) -> dict[str, object]:
    opened = planned.opened
    provenance = opened.provenance
    return {
        "prompt": str(provenance.get("reference_prompt") or ""),
        "pixels": str(provenance.get("reference_pixels") or ""),
        "input": str(opened.spec.input),
        "conversation": opened.spec.conversation,
        "patches": str(opened.spec.patches),
        "compat": str(opened.spec.compat),
        "follow": str(opened.follow),
        "window": int(planned.width),
        "decoder_layers": int(planned.decoder_layers),
    }
