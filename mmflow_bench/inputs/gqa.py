"""GQA's own questions and scene graphs, as rows of the published layout (paper, App. A).

A question of GQA comes with its program: `select jar (496168)`, then `choose empty|full`. The
program names the objects and the options; the scene graph of the image has the objects' boxes.
These rules give names, ids and options of all 5,525 published rows from their own `operations`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmflow_bench.checkpoints.aliases import Json
from mmflow_bench.errors import QuestionError
from mmflow_bench.inputs.json_lines import parsed_file
from mmflow_bench.inputs.published import MISSING, task_of_types
from mmflow_bench.inputs.samples import SIX_TASKS, UNKNOWN_TASK, Task

PUBLISHED_TYPES: Mapping[str, frozenset[str]] = {
    Task.COMPARE_ATTR: frozenset({"twoCommon"}),
    Task.LOGICAL_OBJ: frozenset({"existThatOr", "existThatOrC"}),
    Task.QUERY_ATTR: frozenset({"positionQuery"}),
}
"""Sub-types that the published sets are confined to; the Choose tasks are whole groups."""

_CENTRAL = (Task.CHOOSE_ATTR, Task.CHOOSE_CAT, Task.QUERY_ATTR)
_NAMED = re.compile(r"(?P<name>.+?) \((?P<id>\d+|-)\)\s*", re.DOTALL)
_RELATION = re.compile(r"(?P<name>[^,]+),(?P<relation>.+),[os] \((?P<id>\d+|-)\)\s*", re.DOTALL)
_PREPOSITION = re.compile(r"^(?:to the|in|on the|at the) (?P<word>.+?)(?: of)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The questions that can become samples, and why the others cannot."""

    rows: tuple[Mapping[str, str], ...]
    """Cells of the published layout, in the order of the question file."""
    left_out: Mapping[str, Mapping[str, int]]
    """Task or group -> reason -> questions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the program of a question says of it."""

    objects: tuple[tuple[str, str | None], ...]
    """Names and ids in the scene graph; no id for an object that the image lacks."""
    options: tuple[str, str] | None
    """The true option, then the false one."""


class _LeftOutError(Exception):
    """A question that becomes no row; its text is the reason."""


def read_candidates(
    questions: Path, scene_graphs: Path, *, whole_groups: bool = False
) -> Candidates:
    """The rows of GQA's question file that belong to the tasks.

    Args:
        questions: `{train,val}_{balanced,all}_questions.json`.
        scene_graphs: `{train,val}_sceneGraphs.json`.
        whole_groups: Every one of the 15 groups of Table 2, without confinement to sub-types.

    Raises:
        QuestionError: A file is not in GQA's format (`unreadable-file`).
    """
    graphs = _mapping(scene_graphs, "GQA's scene graphs by image id")
    rows: list[Mapping[str, str]] = []
    left_out: dict[str, Counter[str]] = {}
    for question_id, question in _mapping(questions, "GQA's questions by their ids").items():
        task = _task(question)
        try:
            if not whole_groups:
                _require_published_type(task, question)
            rows.append(_row(question_id, question, graphs))
        except _LeftOutError as error:
            left_out.setdefault(task, Counter())[str(error)] += 1
    return Candidates(rows=tuple(rows), left_out=left_out)


def asked(task: str, operations: Sequence[Json], answer: str) -> Asked:
    """Objects and options of a question, from its program.

    >>> asked("ChooseRel", [{"operation": "select", "argument": "bed (1)"}, {"operation":
    ...     "choose rel", "argument": "dog,to the left of|to the right of,s (2)"}], "left")
    Asked(objects=(('bed', '1'), ('dog', '2')), options=('left', 'right'))

    Raises:
        ValueError: The program is not in GQA's form.
    """
    objects: list[tuple[str, str | None]] = []
    options: tuple[str, str] | None = None
    for operation in operations:
        kind, argument = str(operation["operation"]), str(operation["argument"])
        related = _RELATION.fullmatch(argument) if "rel" in kind else None
        named = related or (_NAMED.fullmatch(argument) if kind == "select" else None)
        if named:
            object_id = None if named["id"] == MISSING else named["id"]
            objects.append((named["name"].strip(), object_id))
        if kind.startswith("choose"):
            options = _options(related["relation"] if related else argument, answer)
    return Asked(objects=tuple(objects[: 1 if task in _CENTRAL else 2]), options=options)


def _options(argument: str, answer: str) -> tuple[str, str] | None:
    options = [_PREPOSITION.sub(r"\g<word>", part.strip()) for part in argument.split("|")]
    # A third option, or an answer in other words, leaves no false option to compare with.
    if len(options) != 2 or answer not in options:
        return None
    return answer, options[1 - options.index(answer)]


def _mapping(path: Path, expected: str) -> Json:
    value = parsed_file(path)
    if not isinstance(value, dict) or not all(isinstance(item, dict) for item in value.values()):
        raise QuestionError(
            f"{expected}, got {type(value).__name__} ({path}); give the file as GQA publishes it",
            reason="unreadable-file",
        )
    return value


def _task(question: Json) -> str:
    types = question.get("types")
    if not isinstance(types, dict):
        return UNKNOWN_TASK
    return task_of_types(str(types.get("structural")), str(types.get("semantic")))


def _require_published_type(task: str, question: Json) -> None:
    if task not in SIX_TASKS:
        raise _LeftOutError("other-group")
    types = PUBLISHED_TYPES.get(task)
    if types is not None and question["types"].get("detailed") not in types:
        raise _LeftOutError("other-sub-type")


def _row(question_id: str, question: Json, graphs: Json) -> dict[str, str]:
    if "imageId" in question and question["imageId"] not in graphs:
        raise _LeftOutError("no-scene-graph")
    try:
        return {"question_id": question_id, **_cells(question, graphs[question["imageId"]])}
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _LeftOutError("malformed-question") from error


def _cells(question: Json, graph: Json) -> dict[str, str]:
    task, types, answer = _task(question), question["types"], str(question["answer"])
    found = asked(task, question["semantic"], answer)
    if types["structural"] == "choose" and found.options is None:
        raise _LeftOutError("no-options")
    true_option, false_option = found.options or (MISSING, MISSING)
    return {
        "img_id": str(question["imageId"]),
        "question": str(question["question"]),
        "answer": answer,
        "true option": true_option,
        "false option": false_option,
        **{f"type_{name}": str(types[name]) for name in ("detailed", "semantic", "structural")},
        "operations": repr(question["semantic"]),
        "image_w": str(int(graph["width"])),
        "image_h": str(int(graph["height"])),
        **_objects(task, found, graph["objects"]),
    }


def _objects(task: str, found: Asked, objects: Json) -> dict[str, str]:
    cells: dict[str, str] = {}
    for index, (name, object_id) in enumerate(found.objects, start=1):
        prefix = "central object" if task in _CENTRAL else f"object{index}"
        cells[f"{prefix} name"] = name
        if object_id is not None and object_id in objects:
            cells[f"{prefix} id"] = object_id
            cells |= {f"{prefix} {edge}": str(objects[object_id][edge]) for edge in "xywh"}
    return cells
