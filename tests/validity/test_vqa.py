"""Questions of OKVQA's and A-OKVQA's own files have verdicts, which fail where the flow differs.

The files are made up of rendered scenes, whose answers planted checkpoints know.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from killing import verdicts

from mmflow_bench.scenes.questions import scene_samples

pytestmark = pytest.mark.slow

SETS = {"OKVQA": "okvqa", "A-OKVQA": "aokvqa"}
KILLED = {
    "planted/base": set(),
    "planted/single-stage": {"two-drops"},
    "planted/early-question-last": {"q-last-mid"},
    "planted/order-reversed": {"order"},
    "planted/no-lower": {"lens-lower-rise", "lens-lower-mid", "lens-order"},
    "planted/lower-kept": {"lens-lower-fall"},
    "planted/upper-early": {"lens-upper-late"},
}


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    """A folder with both sets of files and their images."""
    asked, answered, annotated = [], [], []
    for number, sample in enumerate(scene_samples(per_task=4, tasks=["ChooseAttr"])):
        for image_id in (f"COCO_val2014_{number:012d}", f"{number + 100:012d}"):
            sample.image.save(tmp_path / f"{image_id}.png")
        one = {"question_id": number, "image_id": number, "question": sample.question}
        asked.append(one)
        said = [{"answer": sample.answer}] * 10
        answered.append({"question_id": number, "image_id": number, "answers": said})
        own = {"question_id": f"a{number}", "image_id": number + 100}
        annotated.append(one | own | {"direct_answers": [sample.answer] * 10})
    for name, content in (
        ("OpenEnded_mscoco_val2014_questions.json", {"questions": asked}),
        ("mscoco_val2014_annotations.json", {"annotations": answered}),
        ("aokvqa_v1p0_val.json", annotated),
    ):
        (tmp_path / name).write_text(json.dumps(content))
    return tmp_path


def test_rows_on_both_sets_hold_or_fail_by_the_flow(questions: Path, tmp_path: Path) -> None:
    found = verdicts(
        tmp_path / "out",
        models=list(KILLED),
        mechanisms="okvqa-*,aokvqa-*",
        tasks="OKVQA,A-OKVQA",
        options=["--no-twins", f"--questions={questions}", f"--images={questions}", "-n", "2"],
    )
    for task, prefix in SETS.items():
        for name, least in KILLED.items():
            said = {
                row.removeprefix(f"{prefix}-").partition("[")[0]: verdict
                for row, verdict in found[name].items()
                if row.endswith(f"[{task}]")
            }
            assert len(said) == 8
            failing = {row for row, verdict in said.items() if verdict == "fails"}
            assert least <= failing, (name, failing)
            assert name != "planted/base" or set(said.values()) == {"holds"}
