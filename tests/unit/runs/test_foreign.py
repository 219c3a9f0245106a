"""Run folders of others: what is none is refused where it is read, with the file and the field."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile import write_hostile_run
from hypothesis import given, settings
from hypothesis import strategies as st

from mmflow_bench.baselines.gate import kept_gate
from mmflow_bench.baselines.golden import read_entries
from mmflow_bench.baselines.paired_records import kept_comparison
from mmflow_bench.baselines.paired_values import read_values
from mmflow_bench.baselines.power import power_of_comparison
from mmflow_bench.errors import BaselineError, MMFlowError, StoreError
from mmflow_bench.files import LARGEST_NUMBER, parsed_json
from mmflow_bench.runs.checked_tables import MOST_ROWS, read_table
from mmflow_bench.runs.folder import ANSWERS, LENS, MECHANISMS, QUESTIONS, SAMPLES
from mmflow_bench.runs.reading import read_run
from mmflow_bench.runs.records import SCHEMAS

FEW = settings(max_examples=40, derandomize=True, deadline=None, database=None)
NUMBERS = st.integers(-(10**20), 10**20) | st.floats()
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(max_size=5) | st.just("nan")
VALUES = st.recursive(
    LEAVES, lambda one: st.lists(one, max_size=2) | st.dictionaries(st.text(max_size=3), one)
)
Where = tuple[str | int, ...]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A run that is read, to be changed by one value at a time."""
    return write_hostile_run(tmp_path_factory.mktemp("foreign") / "run", "words")


def places(value: Any, where: Where = ()) -> Iterator[Where]:
    yield where
    inside = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value if isinstance(value, list) else ())
    )
    for key, inner in inside:
        yield from places(inner, (*where, key))


def changed(value: Any, where: Where, new: Any) -> Any:
    if not where:
        return new
    copy = deepcopy(value)
    inner = copy
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = new
    return copy


def set_in(folder: Path, tmp_path: Path, name: str, where: Where, new: Any) -> Path:
    """A folder with this file alone, and one value of it changed."""
    content = json.loads((folder / name).read_text())
    (tmp_path / name).write_text(json.dumps(changed(content, where, new)))
    return tmp_path


def at(path: str) -> Where:
    return tuple(int(one) if one.isdigit() else one for one in path.split("."))


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("mechanisms.0.verdict", "\x1b[31mholds"),
        ("mechanisms.0.outcome", "fine"),
        ("mechanisms.0.tier", "::set-output name=x::y"),
        ("mechanisms.0.expected", "x"),
        ("mechanisms.0.baseline", "x"),
        ("mechanisms.0.estimate", "nan"),
        ("mechanisms.0.estimate", float("nan")),
        ("mechanisms.0.estimate", float("inf")),
        ("mechanisms.0.estimate", "0.5"),
        ("mechanisms.0.low", 10**400),
        ("mechanisms.0.n", -1),
        ("mechanisms.0.n", 10**30),
        ("mechanisms.0.n", 1.5),
        ("mechanisms.0", None),
        ("mechanisms", {}),
        ("summary", {"holds": 1000}),
        ("data.tasks.words.correct", 1000),
        ("data.tasks.words.selected", "3"),
        ("data.tasks.words.unscored", {"a": -1}),
        ("settings.alpha", 7.5),
        ("settings.alpha", "x"),
        ("settings.tasks", "Choose*"),
        ("settings.conditions", []),
        ("settings.limit", {"a": 1}),
        ("experiment.window", "x"),
        ("experiment.follow", []),
        ("environment.packages", 5),
        ("checkpoint.decoder_layers", -3),
        ("checkpoint.name", 5),
        ("errors.0.message", None),
        ("self_test.0.passed", "no"),
        ("noise_floor", "x"),
    ],
)  # fmt: skip
def test_results_that_leave_the_schema_are_refused_by_field(folder, tmp_path, where, value):
    set_in(folder, tmp_path, "results.json", at(where), value)
    with pytest.raises(StoreError) as refused:
        read_run(tmp_path)
    assert "results.json" in str(refused.value)
    with pytest.raises(BaselineError):
        read_values(tmp_path)


@FEW
@given(st.data())
def test_any_change_of_results_is_read_or_refused(folder, tmp_path_factory, data):
    content = json.loads((folder / "results.json").read_text())
    where = data.draw(st.sampled_from(list(places(content))))
    text = json.dumps(changed(content, where, data.draw(VALUES)))
    place = tmp_path_factory.mktemp("any")
    (place / "results.json").write_text(text)
    try:
        record = read_run(place)
    except MMFlowError:
        return
    assert 0 < record.alpha < 0.5
    assert all(row.n is None or 0 <= row.n <= LARGEST_NUMBER for row in record.rows)
    read_values(place)


@pytest.mark.parametrize(
    ("name", "where", "value"),
    [
        ("comparison.json", "rows.0.verdict", "::error::x"),
        ("comparison.json", "rows.0.was", "\x1b[31m"),
        ("comparison.json", "rows.0.margin", 1e-300),
        ("comparison.json", "rows.0.difference", "nan"),
        ("comparison.json", "rows.0.n", -5),
        ("comparison.json", "rows", {}),
        ("comparison.json", "rows.0.id", None),
        ("comparison.json", "tasks.0.both", "1"),
        ("comparison.json", "alpha", 0),
        ("comparison.json", "kind", "other"),
        ("comparison.json", "tolerance", {"fraction": 0.1}),
        ("comparison.json", "notes", "a text"),
        ("comparison.json", "schema_version", 99),
        ("gate.json", "passed", "false"),
        ("gate.json", "passed", None),
        ("gate.json", "why", "a text"),
        ("gate.json", "why.0", 5),
    ],
)
def test_a_comparison_and_a_gate_of_others_are_refused_by_field(
    folder, tmp_path, name, where, value
):
    set_in(folder, tmp_path, name, at(where), value)
    with pytest.raises(StoreError, match=name):
        (kept_comparison if name == "comparison.json" else kept_gate)(tmp_path)


@FEW
@given(st.data())
def test_any_change_of_a_comparison_is_read_or_refused(folder, tmp_path_factory, data):
    content = json.loads((folder / "comparison.json").read_text())
    where = data.draw(st.sampled_from(list(places(content))))
    place = tmp_path_factory.mktemp("any")
    (place / "comparison.json").write_text(json.dumps(changed(content, where, data.draw(VALUES))))
    try:
        found = kept_comparison(place)
    except MMFlowError:
        return
    assert found is not None
    power_of_comparison(found)


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[Infinity]",
        '{"a": -Infinity}',
        "1e400",
        "9" * 5000,
        str(10**20),
        "[" * 10**5,
        "{",
        "",
    ],
    ids=lambda text: text[:12] or "nothing",
)
def test_json_that_no_program_here_writes_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 (Python's own words for what is no JSON)
        parsed_json(text)


Damage = Callable[[pa.Table], pa.Table]


def with_value(column: str, value: Any) -> Damage:
    def damage(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        rows[0][column] = value
        return pa.Table.from_pylist(rows, schema=table.schema)

    return damage


def as_texts(column: str) -> Damage:
    return lambda table: table.set_column(
        table.column_names.index(column), column, pa.array(["x"] * table.num_rows)
    )


DAMAGES: dict[str, tuple[str, Damage, str]] = {
    "no column": (SAMPLES, lambda table: table.drop_columns(["edge"]), "no columns 'edge'"),
    "a column twice": (
        SAMPLES,
        lambda table: table.append_column("edge", table["edge"]),
        "2 columns 'edge'",
    ),
    "another type": (SAMPLES, as_texts("base_probability"), "'base_probability'"),
    "a list of another type": (LENS, as_texts("probability"), "'probability'"),
    "an empty value": (ANSWERS, with_value("question_id", None), "'question_id'"),
    "a gap in a curve": (SAMPLES, with_value("relative_change", [None] * 5), "empty value"),
    "a shorter curve": (SAMPLES, with_value("relative_change", [0.1]), "a curve of"),
    "a row twice": (
        SAMPLES,
        lambda table: pa.concat_tables([table, table.slice(0, 1)]),
        "two rows with the same task, edge",
    ),
    "a box of three": (QUESTIONS, with_value("boxes", [[1.0, 2.0, 3.0]]), "a box"),
    "an image of no width": (QUESTIONS, with_value("image_width", 0), "a size"),
    "another verdict": (MECHANISMS, with_value("verdict", "\x1b[31m"), "different runs"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "damage", "says"), DAMAGES.values(), ids=DAMAGES)
def test_a_table_that_is_none_of_its_name_is_refused(tmp_path, name, damage, says):
    write_hostile_run(tmp_path, "words")
    pq.write_table(damage(pq.read_table(tmp_path / name)), tmp_path / name)
    with pytest.raises(StoreError, match=says) as refused:
        _ = read_run(tmp_path).rows, read_table(tmp_path / name)
    assert name in str(refused.value) or "mechanisms.parquet" in str(refused.value)


def test_a_table_may_have_more_columns_and_other_widths(tmp_path):
    write_hostile_run(tmp_path, "words")
    path = tmp_path / "samples.parquet"
    table, expected = pq.read_table(path), read_table(path)
    narrow = table.schema.set(7, pa.field("relative_change", pa.large_list(pa.float32())))
    narrow = narrow.set(0, pa.field("task", pa.large_string()))
    wide = table.cast(narrow).append_column("more", pa.array([1] * table.num_rows))
    pq.write_table(wide.set_column(3, "edge", wide["edge"].dictionary_encode()), path)
    assert read_table(path) == expected


def test_a_table_that_would_fill_the_memory_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "answers.parquet"
    rows = MOST_ROWS + 1
    zeros = pa.chunked_array([pa.array([True] * 10**5)] * (rows // 10**5 + 1))
    pq.write_table(pa.table({"is_correct": zeros}), path)
    assert path.stat().st_size < 10**6
    with pytest.raises(StoreError, match="more than any run leaves"):
        read_table(path)


@FEW
@given(st.integers(0, 10**6), st.integers(0, 7), st.sampled_from(sorted(SCHEMAS)))
def test_a_flipped_bit_is_read_or_refused(folder, tmp_path_factory, place, bit, name):
    content = bytearray((folder / name).read_bytes())
    content[place % len(content)] ^= 1 << bit
    path = tmp_path_factory.mktemp("bit") / name
    path.write_bytes(content)
    with suppress(StoreError):
        read_table(path)


@pytest.mark.parametrize(
    "entries",
    [
        [["a", 1]],
        "text",
        {"t": {"mechanism": 5, "verdict": "holds"}},
        {"t": {"mechanism": "m", "verdict": "\x1b[31m"}},
        {"t": {"mechanism": "m"}},
        {"t": {"tolerance": "much", "peak": 1}},
        {"t": {"tolerance": -1, "peak": 1}},
        {"t": {"inner": {"tolerance": []}}},
    ],
)
def test_golden_verdicts_of_others_are_refused_by_entry(tmp_path, entries):
    path = tmp_path / "test_a.json"
    path.write_text(json.dumps({"schema_version": 1, "baselines": entries}))
    with pytest.raises(BaselineError, match=r"test_a\.json"):
        read_entries(path)


def test_the_baseline_that_ships_is_read():
    values = Path(__file__).parents[3] / "baselines" / "planted_base" / "values"
    record = read_run(values)
    assert record.results.checkpoint.asked_as == "llava-1.5-13b"
    assert sum(len(one.question_ids) for one in record.sweeps) > 1000
