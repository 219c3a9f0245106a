"""Whether a checkpoint does all that the paper says of it: many mechanisms as one statement.

The tests that ship are run again, on the same flow, and their comparisons are combined
(docs/decisions/039). Nothing is measured for it: every table has been read for those tests already.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from mmflow_bench.mechanisms.verdicts import NotApplicable, Undecided, Verdict

if TYPE_CHECKING:
    from mmflow_bench.mechanisms.comparisons import Comparison
    from mmflow_bench.mechanisms.declared import DeclaredTest
    from mmflow_bench.mechanisms.flow import Flow

OPPOSITE = {Verdict.HOLDS: Verdict.FAILS, Verdict.FAILS: Verdict.HOLDS}


def as_the_paper_says(
    flow: Flow, sections: Collection[str], *, but: Collection[str] = ()
) -> Comparison:
    """Whether every mechanism of some sections is on this checkpoint as the paper says.

    Those of the default selection that the paper says of any checkpoint, or of this one; an
    exception that it names must fail. All must be shown to be so, and one that is shown to be
    otherwise, corrected for their number, is enough to fail. What does not apply is left out, and
    so are the ids of `but`.

    Raises:
        NotApplicable: None of them applies to the checkpoint and its samples.
        PreconditionFailed: The checkpoint does not master a task of one of them.
    """
    # Suites import this module, and listing mechanisms imports the suites: no numpy before it runs.
    from mmflow_bench.mechanisms.several import all_at_once

    asked = [one for one in _of_sections(sections) if one.declaration.id not in but]
    rows = [row for test in asked for row in _rows(test, flow)]
    if not rows:
        raise NotApplicable(f"no mechanism of {', '.join(sections)} applies")
    whole = all_at_once([one for _, one in rows])
    fails = whole.verdict is Verdict.FAILS
    name, shown = min(rows, key=lambda row: row[1].p_fail if fails else -row[1].p_hold)
    count = sum(one.verdict is Verdict.HOLDS for _, one in rows)
    return replace(
        whole,
        estimate=shown.estimate,
        threshold=shown.threshold,
        qualifier=", ".join(filter(None, (name, shown.qualifier))),
        reason=f"{count} of {len(rows)} as the paper says; decided by {name}",
        # Of so many, only what decides is shown.
        parts=(),
        is_conjunction=False,
    )


def _of_sections(sections: Collection[str]) -> Iterator[DeclaredTest]:
    from mmflow_bench.mechanisms.declared import shipped

    for test in shipped():
        one = test.declaration
        # Exact numbers are of one checkpoint, and controls of the instrument.
        if one.section in sections and one.tier == "holds" and one.suite == "core":
            yield test


def _rows(test: DeclaredTest, flow: Flow) -> Iterator[tuple[str, Comparison]]:
    """Mechanism with its task, and whether it is as the paper says; nothing where it is silent."""
    expected = test.declaration.expected_of(flow.paper_model or "")
    for case in test.cases if expected else ():
        found = _compared(test, case, flow)
        if found is not None:
            task = case.get("task")
            name = f"{test.declaration.id}[{task}]" if task else test.declaration.id
            yield name, _turned(found) if expected == "fails" else found


def _compared(test: DeclaredTest, case: Mapping[str, object], flow: Flow) -> Comparison | None:
    """What a test compares on this flow; None where it does not apply."""
    from mmflow_bench.mechanisms.comparisons import Recorder, current_recorder

    outer = current_recorder.get()
    # Of the same kind: one that only watches lets every comparison pass.
    recorder = Recorder() if outer is None else type(outer)()
    token = current_recorder.set(recorder)
    try:
        test.function(flow=flow, **case)
    except NotApplicable:
        return None
    except (AssertionError, Undecided):
        # An ending that no comparison has decided is that of the whole.
        if recorder.deciding is None:
            raise
    finally:
        current_recorder.reset(token)
    return recorder.deciding


def _turned(comparison: Comparison) -> Comparison:
    """The same claim denied."""
    return replace(
        comparison,
        verdict=OPPOSITE.get(comparison.verdict, comparison.verdict),
        threshold=f"not {comparison.threshold}",
        p_hold=comparison.p_fail,
        p_fail=comparison.p_hold,
    )
