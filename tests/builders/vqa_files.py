"""OKVQA and A-OKVQA, in exactly the layout in which they are published."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

QUESTIONS = "OpenEnded_mscoco_val2014_questions.json"
ANNOTATIONS = "mscoco_val2014_annotations.json"


def okvqa(folder: Path, *answers: Sequence[str], start: int = 2971475) -> Path:
    """OKVQA's two files with one question for each list of answers."""
    ids = [(start + index, 297147 + index) for index in range(len(answers))]
    questions = [
        {"image_id": image, "question": "What sport can you use this for?", "question_id": question}
        for question, image in ids
    ]
    annotations = [
        {
            "image_id": image,
            "answer_type": "other",
            "question_type": "four",
            "question_id": question,
            "answers": [
                {
                    "answer_id": number + 1,
                    "raw_answer": f"{answer}s",
                    "answer_confidence": "yes",
                    "answer": answer,
                }
                for number, answer in enumerate(said)
            ],
            "confidence": 3,
        }
        for (question, image), said in zip(ids, answers, strict=True)
    ]
    facts = {"license": {}, "data_type": "mscoco", "data_subtype": "val2014", "info": {}}
    (folder / QUESTIONS).write_text(
        json.dumps(facts | {"task_type": "Open-Ended", "questions": questions})
    )
    (folder / ANNOTATIONS).write_text(json.dumps(facts | {"annotations": annotations}))
    return folder / QUESTIONS


def aokvqa(folder: Path, **changes: Any) -> Path:
    question = {
        "split": "val",
        "image_id": 461751,
        "question_id": "22jbM6gDxdaMaunuzgrsBB",
        "question": "What is in the motorcyclist's mouth?",
        "choices": ["toothpick", "food", "popsicle stick", "cigarette"],
        "correct_choice_idx": 3,
        "direct_answers": ["cigarette"] * 6 + ["cigar"] * 3 + ["tobacco"],
        "difficult_direct_answer": False,
        "rationales": ["He's smoking while riding.", "The man is smoking.", "A cigarette."],
    }
    path = folder / "aokvqa_v1p0_val.json"
    path.write_text(json.dumps([question | changes]))
    return path
