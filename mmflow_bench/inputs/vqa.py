"""OKVQA and A-OKVQA as they are published (paper, App. H): questions about COCO photos.

Ten people answered each question. The most frequent answer is the reference; an answer that three
of the ten gave has the full score of the VQA metric and counts as correct too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

from mmflow_bench.checkpoints.aliases import Json
from mmflow_bench.errors import QuestionError
from mmflow_bench.inputs.json_lines import parsed_file
from mmflow_bench.inputs.samples import Sample

AGREEING = 3
"""Answers of ten at which the VQA metric is 1 (Antol et al. 2015, arXiv:1505.00468)."""


def is_okvqa(document: object) -> TypeGuard[Json]:
    return isinstance(document, dict) and any(
        isinstance(document.get(part), list) for part in ("questions", "annotations")
    )


def is_annotated(value: object) -> bool:
    return isinstance(value, dict) and "direct_answers" in value


def okvqa_partner(path: Path) -> Path | None:
    """The file of annotations that belongs to a file of questions, or the other way round."""
    name = path.name
    # Only the names of the questions begin with the kind of task.
    if "_questions" in name:
        partner = name.removeprefix("OpenEnded_").replace("_questions", "_annotations")
    elif "_annotations" in name:
        partner = "OpenEnded_" + name.replace("_annotations", "_questions")
    else:
        return None
    return path.with_name(partner)


def okvqa_rows(document: Json, path: Path) -> Iterator[Json]:
    """Questions with the answers of their annotation, from either of the two files.

    Raises:
        QuestionError: The other file is not beside this one (`missing-file`), or is none
            (`unreadable-file`).
    """
    both = dict(document)
    for part in ("questions", "annotations"):
        if not isinstance(document.get(part), list):
            both[part] = _partner_part(path, part)
    # By their texts: what is no id is told by the reader of rows.
    answers = {
        str(value.get("question_id")): value.get("answers")
        for value in both["annotations"]
        if isinstance(value, dict)
    }
    for value in both["questions"]:
        if isinstance(value, dict):
            yield value | {"answers": answers.get(str(value.get("question_id")))}
        else:
            yield {"question": value}


def _partner_part(path: Path, part: str) -> list[object]:
    partner = okvqa_partner(path)
    if partner is None or not partner.is_file():
        raise QuestionError(
            f"OKVQA's {part} beside {path.name} ({partner.name if partner else part}), got no "
            f"such file ({path.parent}); put both files into one folder under their own names",
            reason="missing-file",
        )
    found = parsed_file(partner)
    if not isinstance(found, dict) or not isinstance(found.get(part), list):
        raise QuestionError(
            f"OKVQA's {part}, got something else ({partner}); fetch the file again",
            reason="unreadable-file",
        )
    values: list[object] = found[part]
    return values


def vqa_sample(value: object, task: str, where: str) -> Sample:
    """The sample of one question with its answers, without its image.

    Raises:
        QuestionError: A field is missing or of a wrong type (`malformed-row`, `missing-field`,
            `missing-answer`).
    """
    if not isinstance(value, dict):
        raise _refused(where, f"one question, got {type(value).__name__}", "malformed-row")
    given = value.get("direct_answers") or value.get("answers")
    answers = [_answer(answer, where) for answer in given] if isinstance(given, list) else []
    counts = Counter(answer for answer in answers if answer)
    for name in ("question_id", "image_id", "question"):
        # To Python a bool is a whole number; it is no id.
        if not isinstance(value.get(name), str | int) or isinstance(value[name], bool):
            got = repr(value.get(name))
            raise _refused(where, f"{name} as a text or number, got {got}", "missing-field")
    if not counts:
        raise _refused(where, "answers of people, got none", "missing-answer")
    reference, *others = [answer for answer, _ in counts.most_common()]
    return Sample(
        question_id=str(value["question_id"]),
        image_id=str(value["image_id"]),
        task=task,
        question=str(value["question"]).strip(),
        answer=reference,
        answers=tuple(answer for answer in others if counts[answer] >= AGREEING),
    )


def vqa_image_names(image_id: object) -> tuple[str, ...]:
    """File names that COCO's photos have: by split and number, by number of twelve digits, bare.

    >>> vqa_image_names(42)
    ('COCO_val2014_000000000042', '000000000042', 'COCO_train2014_000000000042', '42')
    """
    name = str(image_id)
    if not name.isdecimal():
        return (name,)
    number = name.zfill(12)
    return (f"COCO_val2014_{number}", number, f"COCO_train2014_{number}", name)


def _answer(answer: object, where: str) -> str:
    # OKVQA keeps an answer with its annotator, A-OKVQA the text alone.
    text = answer.get("answer") if isinstance(answer, dict) else answer
    if not isinstance(text, str):
        raise _refused(where, f"answers as texts, got {text!r}", "malformed-row")
    return text.strip()


def _refused(where: str, message: str, reason: str) -> QuestionError:
    return QuestionError(f"{message} ({where}); correct it or leave it out", reason=reason)
