"""Questions of OKVQA's and A-OKVQA's own files have verdicts, which fail where the flow differs.

The files are made up of rendered scenes, whose answers planted checkpoints know.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from killing import verdicts

from mmflow_bench.mechanisms.declared import shipped
from mmflow_bench.scenes.questions import scene_samples

pytestmark = pytest.mark.slow

ROWS = sorted(
    one.declaration.id
    for one in shipped()
    if one.declaration.section == "App. H, other question sets"
)
KILLED = {
    "planted/base": set(),
    "planted/single-stage": {"vqa-two-drops"},
    "planted/early-question-last": {"vqa-q-last-mid"},
    "planted/order-reversed": {"vqa-order"},
    "planted/no-lower": {"vqa-lens-lower-rise", "vqa-lens-lower-mid", "vqa-lens-order"},
    "planted/lower-kept": {"vqa-lens-lower-fall"},
    "planted/upper-early": {"vqa-lens-upper-late"},
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
        mechanisms="vqa-*",
        tasks="OKVQA,A-OKVQA",
        options=["--no-twins", f"--questions={questions}", f"--images={questions}", "-n", "2"],
    )
    for task in ("OKVQA", "A-OKVQA"):
        assert set(found["planted/base"].values()) == {"holds"}
        for name, least in KILLED.items():
            failing = {row for row in ROWS if found[name][f"{row}[{task}]"] == "fails"}
            assert least <= failing, (name, failing)
    assert sorted(row.partition("[")[0] for row in found["planted/base"]) == sorted(ROWS * 2)
