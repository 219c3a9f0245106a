"""Files of a run whose every text is an attack, made from the schemas: new fields are covered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from mmflow_bench.baselines.gate import GATE, GateDecision
from mmflow_bench.baselines.paired_records import FILE, BaselineComparison
from mmflow_bench.baselines.tolerances import DEFAULTS
from mmflow_bench.measurements.order import END
from mmflow_bench.runs.folder import (
    ANSWERS,
    LENS,
    MECHANISMS,
    PIECES,
    QUESTIONS,
    REMOVAL,
    RESULTS,
    SAMPLES,
    SEMANTICS,
)
from mmflow_bench.runs.records import SCHEMAS
from mmflow_bench.runs.results import Results
from mmflow_bench.runs.rows import verdict_counts

LAYERS = 5
CLOSED = {"removed": "image", "method": "masked", "window": 3, "edge": "question->last"}
"""Columns without which nothing of a table is drawn; their texts are attacked in a second row."""


def made_of(schema: Mapping[str, Any], text: str, whole: Mapping[str, Any] | None = None) -> Any:
    """A value that follows a JSON Schema, with a text wherever it takes any."""
    whole = whole or schema
    if reference := schema.get("$ref"):
        return made_of(whole["$defs"][reference.split("/")[-1]], text, whole)
    if "const" in schema or "enum" in schema:
        return schema.get("const", (schema.get("enum") or [None])[-1])
    if several := schema.get("anyOf"):
        return made_of(several[0], text, whole)
    if "pattern" in schema:
        # Of a random order: that all of it was gone through.
        return END
    kind = schema.get("type")
    if kind == "object":
        inside = {
            name: made_of(one, text, whole) for name, one in schema.get("properties", {}).items()
        }
        more = schema.get("additionalProperties")
        if more in (True, None) and "properties" not in schema:
            more = {"type": "string"}
        if schema.get("propertyNames", {}).get("enum"):
            return inside
        if isinstance(more, Mapping):
            inside[text] = made_of(more, text, whole)
        elif more is True:
            inside[text] = text
        return inside
    if kind == "array":
        return [made_of(schema.get("items", {"type": "string"}), text, whole)]
    return {"integer": 1, "number": 0.25, "boolean": False, "null": None}.get(kind, text)


def hostile_results(text: str) -> Results:
    given = made_of(Results.model_json_schema(), text)
    for task in given["data"]["tasks"].values():
        task |= {"selected": 3, "correct": 1}
        task["order"] |= {"of": 9}
    row = given["mechanisms"][0] | {"test": f"test_a.py::test_{text}"}
    given["mechanisms"] = [
        row | {"verdict": "fails", "outcome": "failed", "task": "other"},
        row | {"verdict": "holds", "outcome": "passed"},
        row | {"verdict": "not-applicable", "outcome": "skipped", "estimate": None, "id": "other"},
    ]
    given["summary"] = {"fails": 1, "holds": 1, "not-applicable": 1}
    given["settings"] |= {"alpha": 0.05, "window": 3, "limit": None, "tasks": [], "mechanisms": []}
    given["experiment"] |= {"follow": "answer", "window": 3}
    results = Results.model_validate(given)
    assert results.summary == verdict_counts(results.mechanisms)
    return results


def hostile_comparison(text: str) -> BaselineComparison:
    given = made_of(TypeAdapter(BaselineComparison).json_schema(), text)
    found = TypeAdapter(BaselineComparison).validate_python(given)
    row = replace(found.rows[0], unit="fraction", margin=0.1, n=5, images=4)
    rows = tuple(replace(row, verdict=verdict) for verdict in ("changed", "undecided", "unchanged"))
    verdicts = replace(row, verdict="not-comparable", before=None, after=None, low=None)
    return replace(
        found, rows=(*rows, verdicts), refused=(), kind="paired", tolerance=dict(DEFAULTS),
        follow="answer",
    )  # fmt: skip


def hostile_rows(name: str, text: str, results: Results) -> list[dict[str, Any]]:
    if name == MECHANISMS:
        made = _row(SCHEMAS[name], text)
        return [made | asdict(one) for one in results.mechanisms]
    plain = {column: one for column, one in CLOSED.items() if column in SCHEMAS[name].names}
    made = _row(SCHEMAS[name], text)
    others = [{"question_id": f"q{i}", "image_id": f"i{i}"} for i in range(3)]
    return [made, *({**made, **plain, **other} for other in others)]


def _row(schema: pa.Schema, text: str) -> dict[str, Any]:
    return {column.name: _value(column.type, text, column.name) for column in schema}


def _value(kind: pa.DataType, text: str, name: str = "") -> Any:
    if pa.types.is_struct(kind):
        return {one.name: _value(one.type, text) for one in kind}
    if pa.types.is_list(kind):
        count = {"boxes": 1, "related": 1}.get(name, 4 if name == "" else LAYERS)
        return [_value(kind.value_type, text) for _ in range(count)]
    if pa.types.is_string(kind):
        return text
    return {pa.int64(): 1, pa.float64(): 0.25, pa.bool_(): True}[kind]


def write_hostile_run(folder: Path, text: str) -> Path:
    """A run folder whose every text is `text`, keys of mappings included."""
    folder.mkdir(parents=True, exist_ok=True)
    results = hostile_results(text)
    (folder / RESULTS).write_text(results.as_json())
    (folder / FILE).write_text(hostile_comparison(text).as_json())
    (folder / GATE).write_text(GateDecision(False, (text, text)).as_json("regression"))
    for name in (MECHANISMS, SAMPLES, PIECES, LENS, REMOVAL, SEMANTICS, QUESTIONS, ANSWERS):
        rows = hostile_rows(name, text, results)
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMAS[name]), folder / name)
    return folder


def json_strings(value: Any) -> int:
    """How many strings a JSON value has."""
    if isinstance(value, str):
        return 1
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(json_strings, inside))


def parsed(path: Path) -> Any:
    return json.loads(path.read_text())
