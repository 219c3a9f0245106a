"""Run folders read back: the whole of them, or a complaint that says what to do."""

from __future__ import annotations

import json

import pytest
from run_folders import ROWS, write_made_up_run

from mmflow_bench.errors import BaselineError, StoreError
from mmflow_bench.runs.reading import named_by_user, read_run


def test_reads_what_was_written(tmp_path):
    record = read_run(write_made_up_run(tmp_path))
    assert record.rows == ROWS
    assert record.name == "made/up"
    assert sum(len(one.question_ids) for one in record.sweeps) == 4 * 3 * 2
    assert sum(len(one.question_ids) for one in record.lens) == 4 * 2 * 2
    assert len(record.removal) == 4
    assert record.questions[0]["patches"]["related"] == [1, 5]
    assert read_run(tmp_path / "results.json").rows == record.rows


def test_an_estimate_that_is_no_number_is_none(tmp_path):
    from dataclasses import replace

    rows = [replace(ROWS[0], estimate=float("nan"))]
    assert read_run(write_made_up_run(tmp_path, rows=rows)).rows[0].estimate is None


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("results.json", None, "a run folder with results.json, got none"),
        ("results.json", b"{", "the file is damaged"),
        ("results.json", b"\xff\xfe", "the file is damaged"),
        ("results.json", b"[]", "results of schema 1, got None"),
        ("results.json", b'{"schema_version": 99}', "results of schema 1, got 99"),
        ("results.json", b'{"schema_version": 1}', "follow the schema, got run_id: Field required"),
        ("mechanisms.parquet", b"PAR1", "a readable mechanisms.parquet"),
    ],
)
def test_a_broken_folder_is_named(tmp_path, name, content, says):
    write_made_up_run(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(StoreError) as raised:
        read_run(tmp_path)
    assert says in str(raised.value)
    assert str(tmp_path) in str(raised.value)


def test_files_of_two_runs_are_not_one_run(tmp_path):
    write_made_up_run(tmp_path)
    results = json.loads((tmp_path / "results.json").read_text())
    results["mechanisms"][0]["id"] = "q-last-peak"
    (tmp_path / "results.json").write_text(json.dumps(results))
    with pytest.raises(StoreError, match="different runs"):
        read_run(tmp_path)


def test_a_run_of_which_only_the_results_were_kept_has_rows_without_curves(tmp_path):
    write_made_up_run(tmp_path)
    for path in tmp_path.glob("*.parquet"):
        path.unlink()
    record = read_run(tmp_path)
    assert [row.id for row in record.rows] == [row.id for row in ROWS]
    assert {row.model for row in record.rows} == {"made_up"}
    assert (record.sweeps, record.lens, record.questions, record.answers) == ((), (), [], [])


def test_a_user_is_told_in_the_words_of_the_command(tmp_path):
    with (
        pytest.raises(BaselineError, match=r"^a run, got FileNotFoundError.*`mmflow ls runs`"),
        named_by_user(BaselineError, "a run", tmp_path),
    ):
        read_run(tmp_path)
