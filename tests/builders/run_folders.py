"""Run folders that no run has made: small, known to the last number, and as nasty as wanted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmflow_bench.measurements.knockout_sweep import SweepTable
from mmflow_bench.measurements.lens import LensTable
from mmflow_bench.measurements.removal import RemovalTable, Removed
from mmflow_bench.runs.folder import LENS, QUESTIONS, REMOVAL, SAMPLES
from mmflow_bench.runs.results import results_of, write_run
from mmflow_bench.runs.rows import MechanismRow
from mmflow_bench.runs.tables import lens_rows, removal_rows, sweep_rows, write_part

LAYERS = 6
IMAGES = ("a", "a", "b", "c")
NASTY = (
    "<script>alert('own')</script>",
    "\"quoted\" & 'single' </style></title><img src=x onerror=alert(1)>",
    "\u202eright to left\u2066 עברית العربية",
    "🧿👩‍👩‍👧‍👦 emoji",
    "../../etc/passwd\\..\\..\0x",
    "{{ 7 * 7 }}{% raw %} --> ]]> \u2028 <!--<script>",
    "x" * 10_000,
)


def made_up_row(**values: Any) -> MechanismRow:
    known = {
        "model": "m",
        "test": "t",
        "id": "q-last-drop",
        "task": "ChooseAttr",
        "verdict": "holds",
        "outcome": "passed",
        "expected": "holds",
        "section": "Sec. 5, into the last position",
        "statement": "The last position reads the question.",
        "citation": "Sec. 5",
        "name": "peak of question->last on ChooseAttr",
        "estimate": -0.3,
        "low": -0.4,
        "high": -0.2,
        "unit": "fraction",
        "threshold": "<= -10%",
        "n": 4,
        "curve": (0.0, -0.1, -0.3, -0.1, 0.0, 0.0),
    }
    return MechanismRow(**(known | values))


ROWS = (
    made_up_row(),
    made_up_row(task="QueryAttr", verdict="fails", outcome="failed", estimate=-0.02),
    made_up_row(id="lens-order", section="Sec. 6", verdict="inconclusive", outcome="inconclusive"),
    made_up_row(
        id="acc-95", section="Accuracy", task="all", verdict="not-applicable", outcome="skipped",
        estimate=None, low=None, high=None, n=None, curve=(), reason="none asked",
    ),
)  # fmt: skip


def write_made_up_run(
    folder: Path,
    *,
    name: str = "made/up",
    run_id: str = "r1",
    created: str = "2026-01-02T03:04:05+00:00",
    rows: Sequence[MechanismRow] = ROWS,
    task: str = "ChooseAttr",
    words: str = "What colour is it?",
    images: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    follow: str = "answer",
) -> Path:
    """A run of one task with four samples of three images; `words` is said wherever text is.

    Args:
        folder: Where to.
        name: Of the checkpoint.
        run_id: Of the run.
        created: When.
        rows: The mechanisms.
        task: The task that was measured.
        words: Question, answer and prediction of every sample.
        images: A folder that pictures and a question file are written to as well.
        settings: More of what the options decided.
    """
    ids = tuple(f"{task}-{i}" for i in range(len(IMAGES)))
    for width, method in ((3, "masked"), (1, "masked"), (3, "counterfactual")):
        for edge in ("question->last", "image->question"):
            depth = np.linspace(0.1, 0.4, LAYERS)
            knocked = 0.5 - np.outer(np.arange(1, 5) / 8, depth) / width
            table = SweepTable(
                edge=edge, task=task, window=width, method=method, question_ids=ids,
                image_ids=IMAGES, base_probability=np.full(4, 0.5), knockout_probability=knocked,
            )  # fmt: skip
            write_part(folder, SAMPLES, sweep_rows([table]))
    lenses = [
        LensTable(
            task=task, probe=probe, variant=variant, question_ids=ids, image_ids=IMAGES,
            probability=np.full((4, LAYERS + 1), 0.25), final_probability=np.full(4, 0.25),
        )
        for probe in ("capitalized", "noncapitalized")
        for variant in ("raw", "normed")
    ]  # fmt: skip
    write_part(folder, LENS, lens_rows(lenses))
    cost = np.broadcast_to(np.linspace(10, 20, LAYERS), (4, LAYERS))
    removal = RemovalTable(
        task=task, removed=Removed.IMAGE, depth=LAYERS, question_ids=ids, image_ids=IMAGES,
        is_followed=np.ones(4, bool), is_correct=np.ones((4, LAYERS), bool),
        probability=np.full((4, LAYERS), 0.5), operations=cost, cache_bytes=cost,
    )  # fmt: skip
    write_part(folder, REMOVAL, removal_rows([removal]))
    write_part(folder, QUESTIONS, [_question(i, id_, task, words) for i, id_ in enumerate(ids)])
    questions = _write_questions(images, ids, task, words) if images else None
    facts = {
        "checkpoint": {"name": name, "source": name, "family": words, "decoder_layers": LAYERS},
        "data": {"fingerprint": "f" * 64},
        "experiment": {"follow": follow},
        "tasks": {task: {"selected": 5, "correct": 4, "unscored": {"no-options": 1}}},
    }
    known = {"alpha": 0.05, "window": "auto", "questions": questions, "images": None}
    results = results_of(
        rows,
        facts=facts,
        run_id=run_id,
        created=created,
        settings=known | {"images": str(images) if images else None} | dict(settings or {}),
        environment={"packages": {"mmflow-bench": "0.1.0"}, "executable": "/secret/python"},
    )
    write_run(folder, results, rows)
    return folder


def _question(i: int, question_id: str, task: str, words: str) -> dict[str, Any]:
    return {
        "task": task,
        "question_id": question_id,
        "image_id": IMAGES[i],
        "question": words,
        "answer": words,
        "prediction": words,
        "is_correct": True,
        "image_width": 40,
        "image_height": 20,
        "boxes": [[10.0, 5.0, 10.0, 10.0]],
        "patches": {
            **{"width": 40, "height": 20, "rows": 2, "columns": 4, "left": 0.0, "top": 0.0},
            **{"cell_width": 10.0, "cell_height": 10.0, "related": [1, 5]},
        },
    }


def _write_questions(folder: Path, ids: Sequence[str], task: str, words: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for image_id in set(IMAGES):
        Image.new("RGB", (40, 20), (200, 30, 30)).save(folder / f"{image_id}.png")
    path = folder / "questions.jsonl"
    lines = [
        {
            **{"question_id": question_id, "image_id": IMAGES[i], "task": task},
            **{"question": words, "answer": "red", "image": f"{IMAGES[i]}.png"},
        }
        for i, question_id in enumerate(ids)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(path)
