"""One mechanism as a reader of the reference sees it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mmflow_bench.baselines.gate_set import gate_set
from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.mechanisms.declared import DeclaredTest, shipped
from mmflow_bench.mechanisms.declaring import Declaration
from mmflow_bench.mechanisms.paper import PAPER_MODELS
from mmflow_bench.runs.rows import ALL, grouped
from reference import known
from reference.asked import (
    interventions,
    is_observation,
    questions,
    reads_by_task,
    wants_of,
    written,
)

TIERS = {
    "holds": "of any checkpoint",
    "replicates": "the paper's own number",
    "control": "a control",
}
EXPECTED = {"holds": "holds", "fails": "fails", None: "not said"}


def entry(one: Declaration) -> str:
    """One mechanism: claim, source, what is cut and asked, expectations, and what is known."""
    tests = [test for test in shipped() if test.declaration.id == one.id]
    reads = reads_by_task(tests)
    lines = [f"### {one.id}\n", one.statement, ""]
    lines.append(f"- source: {one.citation or 'none'}; {TIERS[one.tier]}; suite `{one.suite}`")
    lines.append(f"- tasks: {in_words(one.tasks)}")
    lines.append(f"- reads: {', '.join(interventions(reads)) or 'answers alone'}")
    for tasks, asked in questions(reads):
        which = "" if set(tasks) == set(one.tasks) else f" on {in_words(tasks)}"
        lines += [f"- asks{which}:", *(f"  - {line}" for line in asked or written(tests))]
    if not is_observation(reads):
        lines += [f"- of the paper's checkpoints: {said}" for said in expectations(tests)]
    lines += [f"- gate: {said}" for said in gated(one.id)]
    lines += [f"- since: {said}" for said in known.evidence_on(one.id)]
    killers = [f"`{variant}`" for variant in known.killers(one.id)]
    why = known.unkillable(one.id)
    lines.append(f"- killed by: {', '.join(killers) or f'none. {why}'.rstrip('. ')}")
    lines.append(f"- on `planted/base`: {known.on_planted(one.id) or 'not in its baseline'}")
    drawn = grouped(known.curves(wants_of(reads)), lambda named: named[1])
    for curve, alike in drawn.items():
        lines.append(f"  - {', '.join(name for name, _ in alike)}: {curve}")
    return "\n".join([*lines, ""])


def in_words(tasks: Sequence[str]) -> str:
    """Tasks in words.

    >>> in_words(("all",)), in_words(("ChooseAttr", "QueryAttr"))
    ('one statement across tasks', 'ChooseAttr, QueryAttr')
    """
    if tuple(tasks) == (ALL,):
        return "one statement across tasks"
    return "each of the six" if tuple(tasks) == SIX_TASKS else ", ".join(tasks)


def expectations(tests: Sequence[DeclaredTest]) -> Iterator[str]:
    """What the paper says of each of its checkpoints, apart for tasks that differ."""
    said = grouped(tests, lambda test: _expected(test.declaration))
    for line, alike in said.items():
        tasks = dict.fromkeys(task for test in alike for task in test.declaration.tasks)
        yield line if len(said) == 1 else f"{line} ({in_words(tuple(tasks))})"


def _expected(one: Declaration) -> str:
    answers = {
        name: EXPECTED[one.expected_of(name)] if one.is_about(name) else "not about it"
        for name in PAPER_MODELS
    }
    further = [name for name in one.only_for if name not in PAPER_MODELS]
    answers |= {name: EXPECTED[one.expected_of(name)] for name in further}
    kinds = grouped(answers, answers.__getitem__)
    if len(kinds) == 1:
        return f"{next(iter(kinds))}, each of them"
    return "; ".join(f"{said}: {', '.join(names)}" for said, names in kinds.items())


def gated(name: str) -> Iterator[str]:
    """The numbers that two checkpoints are compared by."""
    for row in gate_set():
        if row.id == name:
            where = f" at depths {row.band.low:g} to {row.band.high:g}" if row.band.low else ""
            first = ", where windows hold the first layer" if row.band.first_layer == "only" else ""
            of = f"{row.edge.replace('->', ' -> ')}{row.probe}"
            yield f"{row.reading} {of}".rstrip() + where + first
