"""What a checkpoint has said where it was wrong: a line a task, with a few of its answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from mmflow_bench.reports.escaping import plain

SHOWN = 3
_LONGEST = 80
"""Characters of a question or an answer."""
Row = Mapping[str, Any]


def mistakes(answers: Iterable[Row], questions: Iterable[Row]) -> dict[str, str]:
    """The tasks with wrong answers, each with a line about them.

    Args:
        answers: `task`, `question_id`, `is_correct` and `prediction` of each sample.
        questions: `task`, `question_id`, `question` and `answer`, the reference, of each sample.
    """
    known = {(row["task"], row["question_id"]): row for row in questions}
    wrong = defaultdict(list)
    for row in answers:
        if not row["is_correct"]:
            wrong[row["task"]].append(row)
    return {
        task: f"{task}: {len(rows)} answered wrongly: "
        + "; ".join(_shown(known.get((task, row["question_id"]), {}), row) for row in rows[:SHOWN])
        + ("; ..." if len(rows) > SHOWN else "")
        for task, rows in wrong.items()
    }


def _shown(question: Row, answer: Row) -> str:
    asked = plain(question.get("question", answer["question_id"]), _LONGEST)
    right = plain(question.get("answer", "?"), _LONGEST)
    said = plain(answer["prediction"] or "", _LONGEST)
    return f'"{asked}" {right}, said {said or "nothing"}'
