"""Rendered scenes as GQA writes its questions and scene graphs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mmflow_bench.inputs.samples import Sample

TYPES = {
    "ChooseAttr": ("choose", "attr", "chooseAttr"),
    "QueryAttr": ("query", "attr", "positionQuery"),
}


def as_gqa(sample: Sample) -> dict[str, Any]:
    """A rendered scene's question as GQA writes it; the object's id is its name."""
    structural, semantic, detailed = TYPES[sample.task]
    program = [{"operation": "select", "dependencies": [], "argument": f"{_name(sample)} (7)"}]
    if sample.true_option:
        options = f"{sample.false_option}|{sample.true_option}"
        program.append({"operation": "choose color", "dependencies": [0], "argument": options})
    return {
        "semantic": program,
        "question": sample.question,
        "imageId": sample.image_id + sample.question_id,
        "answer": sample.answer,
        "types": {"structural": structural, "semantic": semantic, "detailed": detailed},
    }


def _name(sample: Sample) -> str:
    return sample.object_names[0]


def graph_of(sample: Sample) -> dict[str, Any]:
    box = sample.boxes[0]
    edges = {"x": box.x, "y": box.y, "w": box.width, "h": box.height}
    size = {"width": sample.image.width, "height": sample.image.height}
    return size | {"objects": {"7": edges | {"name": _name(sample), "attributes": []}}}


def write_gqa(
    samples: Sequence[Sample],
    *,
    questions: Path,
    graphs: Path,
    images: Path,
    changes: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
) -> None:
    """The two files and a folder of images; `changes` are made to a question by its id."""
    rows = {one.question_id: {**as_gqa(one), **changes.get(one.question_id, {})} for one in samples}
    questions.write_text(json.dumps(rows))
    ids = [row["imageId"] for row in rows.values()]
    graphs.write_text(json.dumps(dict(zip(ids, map(graph_of, samples), strict=True))))
    images.mkdir(exist_ok=True)
    for image_id, sample in zip(ids, samples, strict=True):
        sample.image.save(images / f"{image_id}.png")
